//! Which system calls are shown to the supervisor: a BPF program over call numbers and arguments.
//!
//! It cannot look behind pointers, so it picks generously; what turns out to be no call of IPVS goes on to the kernel.
//! Calls of another architecture than this program's (i386, x32) are let through unseen.

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_USER_NOTIF, c_long, sock_filter,
};

use crate::window::Window;

/// AUDIT_ARCH_* of this program (linux/audit.h).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    // The low half of the 64-bit argument; all arguments looked at are of type int.
    16 + 8 * index
}

/// Socket options of IPVS: setsockopt has sixteen numbers, getsockopt eight.
const FIRST_OPTION: u32 = 1152;
const SET_END: u32 = 1168;
const GET_END: u32 = 1160;

/// The interfaces that are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interfaces {
    /// Socket options.
    pub(crate) sockopt: bool,
    /// Generic netlink, with its sockets in this window.
    pub(crate) netlink: Option<Window>,
}

/// A call by its number, and what its arguments must be: index, least, one more than the greatest.
struct Row {
    number: c_long,
    arguments: Vec<(u32, u32, u32)>,
}

/// Calls on a netlink socket, which is their first argument.
const NETLINK_CALLS: [c_long; 10] = [
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_read,
    libc::SYS_readv,
];

fn rows(interfaces: Interfaces) -> Vec<Row> {
    let is = |index, value: i32| (index, value.unsigned_abs(), value.unsigned_abs() + 1);
    let mut rows = Vec::new();
    if let Some(window) = interfaces.netlink {
        let fd = (0, window.first, window.end);
        rows.extend(NETLINK_CALLS.map(|number| Row { number, arguments: vec![fd] }));
        let arguments = vec![is(0, libc::AF_NETLINK), is(2, libc::NETLINK_GENERIC)];
        rows.push(Row { number: libc::SYS_socket, arguments });
    }
    if interfaces.sockopt {
        for (number, end) in [(libc::SYS_setsockopt, SET_END), (libc::SYS_getsockopt, GET_END)] {
            rows.push(Row { number, arguments: vec![is(1, libc::IPPROTO_IP), (2, FIRST_OPTION, end)] });
        }
    }
    rows
}

/// The program: "notify" for calls of these interfaces, "allow" for all others.
pub(crate) fn program(interfaces: Interfaces) -> Vec<sock_filter> {
    let mut program =
        vec![load(ARCH), jump(BPF_JEQ, ARCHITECTURE, 1, 0), finish(SECCOMP_RET_ALLOW), load(NUMBER)];
    for row in rows(interfaces) {
        // Per argument: load, below the least?, beyond the greatest?; then notify, allow.
        let body = 3 * row.arguments.len() + 2;
        let number = u32::try_from(row.number).unwrap_or(u32::MAX);
        program.push(jump(BPF_JEQ, number, 0, body));
        for (position, (index, least, end)) in row.arguments.iter().enumerate() {
            // From the instruction after the second jump to the "allow" at the row's end.
            let rest = body - 3 * (position + 1) - 1;
            program.push(load(argument(*index)));
            program.push(jump(BPF_JGE, *least, 0, rest + 1));
            program.push(jump(BPF_JGE, *end, rest, 0));
        }
        program.push(finish(SECCOMP_RET_USER_NOTIF));
        program.push(finish(SECCOMP_RET_ALLOW));
    }
    program.push(finish(SECCOMP_RET_ALLOW));
    program
}

fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset)
}

fn jump(condition: u32, value: u32, if_true: usize, if_false: usize) -> sock_filter {
    instruction(BPF_JMP | condition | BPF_K, if_true, if_false, value)
}

fn finish(action: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, 0, 0, action)
}

/// A row has at most 8 instructions: its jumps fit a byte, and every code fits 16 bits.
fn instruction(code: u32, if_true: usize, if_false: usize, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: if_true as u8, jf: if_false as u8, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel's interpreter would do, for the instructions that are used.
    fn run(program: &[sock_filter], arch: u32, number: c_long, arguments: [u64; 6]) -> u32 {
        let (mut at, mut accumulator) = (0usize, 0u32);
        loop {
            let instruction = program[at];
            at += 1;
            let code = u32::from(instruction.code);
            if code == BPF_RET | BPF_K {
                return instruction.k;
            } else if code == BPF_LD | BPF_W | BPF_ABS {
                accumulator = match instruction.k {
                    NUMBER => number as u32,
                    ARCH => arch,
                    k => arguments[(k as usize - 16) / 8] as u32,
                };
            } else {
                let holds = if code == BPF_JMP | BPF_JEQ | BPF_K {
                    accumulator == instruction.k
                } else {
                    assert_eq!(code, BPF_JMP | BPF_JGE | BPF_K);
                    accumulator >= instruction.k
                };
                at += usize::from(if holds { instruction.jt } else { instruction.jf });
            }
        }
    }

    const WINDOW: Window = Window { first: 960, end: 1024 };

    fn notifies(interfaces: Interfaces, number: c_long, arguments: [u64; 3]) -> bool {
        let [a, b, c] = arguments;
        match run(&program(interfaces), ARCHITECTURE, number, [a, b, c, 7, 7, 7]) {
            SECCOMP_RET_USER_NOTIF => true,
            SECCOMP_RET_ALLOW => false,
            other => panic!("{other:#x}"),
        }
    }

    #[test]
    fn picks_the_calls_of_each_interface_and_their_bounds() {
        let both = Interfaces { sockopt: true, netlink: Some(WINDOW) };
        for (number, end) in [(libc::SYS_setsockopt, 1168), (libc::SYS_getsockopt, 1160)] {
            for (option, picked) in [(1151, false), (1152, true), (end - 1, true), (end, false)] {
                assert_eq!(notifies(both, number, [3, 0, option]), picked, "{number} {option}");
                assert!(!notifies(both, number, [3, 6, option]), "another level");
                assert!(!notifies(Interfaces { sockopt: false, ..both }, number, [3, 0, option]));
            }
        }
        for number in NETLINK_CALLS {
            for (fd, picked) in [(959, false), (960, true), (1023, true), (1024, false), (u64::MAX, false)] {
                assert_eq!(notifies(both, number, [fd, 0, 0]), picked, "{number} {fd}");
                assert!(!notifies(Interfaces { netlink: None, ..both }, number, [fd, 0, 0]));
            }
        }
        assert!(notifies(both, libc::SYS_socket, [16, 3, 16]));
        assert!(!notifies(both, libc::SYS_socket, [16, 3, 0]), "rtnetlink");
        assert!(!notifies(both, libc::SYS_socket, [2, 3, 16]));
        assert!(!notifies(both, libc::SYS_close, [960, 0, 0]));
    }

    #[test]
    fn lets_other_architectures_through() {
        let both = Interfaces { sockopt: true, netlink: Some(WINDOW) };
        let i386 = 0x4000_0003;
        let outcome = run(&program(both), i386, libc::SYS_setsockopt, [3, 0, 1153, 0, 0, 0]);
        assert_eq!(outcome, SECCOMP_RET_ALLOW);
        let x32 = libc::SYS_setsockopt | 0x4000_0000;
        assert!(!notifies(both, x32, [3, 0, 1153]));
    }
}
