//! One step of an explanation.

/// A value of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A name or text.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Fact {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Fact {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// What was looked at or decided, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is about, one word: "service", "candidate", "verdict", ...
    pub name: String,
    /// For people.
    pub text: String,
    /// For machines: names that stay, and values.
    pub facts: Vec<(String, Fact)>,
}

impl Step {
    /// A step without facts.
    pub(crate) fn new(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), text: text.into(), facts: Vec::new() }
    }

    /// With one fact more.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Fact>) -> Self {
        self.facts.push((name.to_owned(), value.into()));
        self
    }
}
