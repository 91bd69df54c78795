//! What `save` writes and `restore` reads: text with one object a line.

use std::fmt::Display;
use std::io::{self, BufRead};
use std::process::ExitCode;

use ipvs_client::ClientError;

/// Reads the objects on standard input, each with the number of its line. Empty lines and those that begin with `#` say nothing.
///
/// # Errors
/// For the user: the first line that is no object, and why.
pub(crate) fn read<T, E: Display>(parse: impl Fn(&str) -> Result<T, E>) -> Result<Vec<(usize, T)>, String> {
    read_from(io::stdin().lock(), parse)
}

fn read_from<T, E: Display>(
    input: impl BufRead,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<(usize, T)>, String> {
    let mut objects = Vec::new();
    for (number, line) in (1..).zip(input.lines()) {
        let line = line.map_err(|error| format!("line {number}: {error}; nothing was restored"))?;
        if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let object = parse(&line).map_err(|error| format!("line {number}: {error}; nothing was restored"))?;
        objects.push((number, object));
    }
    Ok(objects)
}

/// Restores each object, and goes on where one is refused, which `refusal` may explain. The exit code: 0, 1 if one was
/// refused, 2 if standard input has no such objects.
///
/// # Errors
/// If the daemon does not answer.
pub(crate) fn restore<T>(
    objects: Result<Vec<(usize, T)>, String>,
    mut add: impl FnMut(T) -> Result<(), ClientError>,
    refusal: impl Fn(&ClientError) -> Option<String>,
) -> Result<ExitCode, ClientError> {
    let objects = match objects {
        Ok(objects) => objects,
        Err(why) => {
            eprintln!("ipvsd: {why}");
            return Ok(ExitCode::from(2));
        }
    };
    let mut code = ExitCode::SUCCESS;
    for (number, object) in objects {
        match add(object) {
            Err(error) if error.errno().is_some() => {
                let said = refusal(&error).unwrap_or_else(|| error.to_string());
                eprintln!("ipvsd: line {number}: {said}");
                code = ExitCode::FAILURE;
            }
            outcome => outcome?,
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_say_nothing_are_counted_all_the_same() {
        let read = |text: &str| read_from(text.as_bytes(), str::parse::<u8>);
        assert_eq!(read("1\n\n # two\n3"), Ok(vec![(1, 1), (4, 3)]));
        let error = read("#\n1\nx\n").unwrap_err();
        assert!(
            error.starts_with("line 3: invalid digit") && error.ends_with("nothing was restored"),
            "{error}"
        );
    }
}
