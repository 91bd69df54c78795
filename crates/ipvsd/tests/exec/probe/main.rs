//! A client of IPVS that makes its system calls itself. The tests compile it, linked statically, and run it under
//! `ipvsd exec`. It ends with 0 and what it saw on standard output, or panics.
#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    dropping_copy_types,
    reason = "a test program"
)]

mod authority;
mod call;
mod message;
mod netlink;
mod option;
mod pressure;
mod ways;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = || words[1].parse().unwrap();
    match words[0].as_str() {
        "sockopt" => option::sockopt(),
        "netlink" => {
            netlink::netlink();
            netlink::bound();
        }
        "ways" => ways::ways(),
        "dump" => netlink::dump(),
        "elsewhere" => authority::elsewhere(&words[1]),
        "storm" => pressure::storm(number()),
        "hostile" => pressure::hostile(number().into()),
        "measure" => pressure::measure(),
        "outcomes" => authority::outcomes(),
        "deputy" => authority::deputy(),
        other => panic!("{other}?"),
    }
}
