//! All ways to send and to receive.

use crate::call::*;
use crate::message::{NONBLOCKING, get_family, netlink_socket};

struct Message {
    bytes: Vec<u8>,
    vector: [u64; 2],
    header: [u64; 8],
}

impl Message {
    /// A struct mmsghdr over these bytes; it must not be moved afterwards.
    fn new(bytes: Vec<u8>) -> Box<Self> {
        let mut this = Box::new(Self { bytes, vector: [0; 2], header: [0; 8] });
        this.vector = [at(&this.bytes[..]), this.bytes.len() as u64];
        this.header[2] = at(&this.vector);
        this.header[3] = 1;
        this
    }
}

/// Each way to send with each way to receive.
pub(crate) fn ways() {
    let request = get_family("IPVS", 7);
    let length = request.len() as u64;
    for send in [SENDTO, SENDMSG, SENDMMSG, WRITE, WRITEV] {
        for receive in [RECVFROM, RECVMSG, RECVMMSG, READ, READV] {
            let socket = netlink_socket(0);
            let out = Message::new(request.clone());
            let sent = match send {
                SENDTO => call(send, [socket, at(&request[..]), length, 0, 0, 0]),
                WRITE => call(send, [socket, at(&request[..]), length, 0, 0, 0]),
                WRITEV => call(send, [socket, at(&out.vector), 1, 0, 0, 0]),
                SENDMSG => call(send, [socket, at(&out.header), 0, 0, 0, 0]),
                _ => call(send, [socket, at(&out.header), 1, 0, 0, 0]),
            };
            assert_eq!(sent, Ok(if send == SENDMMSG { 1 } else { length as i64 }));
            for expected in [16u16, 2] {
                let mut into = Message::new(vec![0; 4096]);
                let mut name = [7u8; 12];
                into.header[0] = at_mut(&mut name);
                into.header[1] = 12;
                let (base, header) = (at_mut(&mut into.bytes[..]), at_mut(&mut into.header));
                let received = match receive {
                    RECVFROM | READ => call(receive, [socket, base, 4096, 0, 0, 0]),
                    READV => call(receive, [socket, at(&into.vector), 1, 0, 0, 0]),
                    RECVMSG => call(receive, [socket, header, 0, 0, 0, 0]),
                    _ => call(receive, [socket, header, 1, 0, 0, 0]),
                }
                .unwrap();
                let length = if receive == RECVMMSG { into.header[7] as i64 } else { received };
                assert_eq!(u32::from_ne_bytes(into.bytes[..4].try_into().unwrap()) as i64, length);
                assert_eq!(into.bytes[4..6], expected.to_ne_bytes(), "{send} {receive}");
                if receive == RECVMSG || receive == RECVMMSG {
                    assert_eq!(name[4..], [0; 8], "sent by the kernel");
                }
            }
            assert_eq!(
                call(RECVFROM, [socket, at(&[0u8; 4]), 4, NONBLOCKING, 0, 0]),
                Err(11),
                "nothing more"
            );
            call(CLOSE, [socket, 0, 0, 0, 0, 0]).unwrap();
        }
    }
}
