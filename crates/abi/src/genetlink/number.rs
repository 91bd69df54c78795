//! The numbers of the IPVS family and of the netlink layers under it.

/// Commands (IPVS_CMD_*).
pub mod command {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const NEW_SERVICE: u8 = 1;
    pub const SET_SERVICE: u8 = 2;
    pub const DEL_SERVICE: u8 = 3;
    pub const GET_SERVICE: u8 = 4;
    pub const NEW_DEST: u8 = 5;
    pub const SET_DEST: u8 = 6;
    pub const DEL_DEST: u8 = 7;
    pub const GET_DEST: u8 = 8;
    pub const NEW_DAEMON: u8 = 9;
    pub const DEL_DAEMON: u8 = 10;
    pub const GET_DAEMON: u8 = 11;
    pub const SET_CONFIG: u8 = 12;
    pub const GET_CONFIG: u8 = 13;
    pub const SET_INFO: u8 = 14;
    pub const GET_INFO: u8 = 15;
    pub const ZERO: u8 = 16;
    pub const FLUSH: u8 = 17;
    /// Ours: dump the connections; each answer is a message of this command.
    pub const GET_CONNECTION: u8 = 128;
    /// Ours: a socket option, see [`super::sockopt`].
    pub const SOCKOPT: u8 = 129;
    /// Ours: one setting (SYSCTL with a name), or as a dump all of them; each answer is a message of this command.
    pub const GET_SYSCTL: u8 = 130;
    /// Ours: set a setting (SYSCTL with name and value).
    pub const SET_SYSCTL: u8 = 131;
    /// Ours: the counters of everything; answered by one message of this command with STATS.
    pub const GET_STATS: u8 = 132;
    /// Ours: add a rule that gives packets their firewall mark (MARK).
    pub const NEW_MARK: u8 = 133;
    /// Ours: delete such a rule (MARK).
    pub const DEL_MARK: u8 = 134;
    /// Ours: dump these rules; each answer is a message of this command.
    pub const GET_MARK: u8 = 135;
    /// Ours: dump the reasons for which packets were dropped; each answer is a message of this command with DROP.
    pub const GET_DROP: u8 = 136;
    /// Ours: what would become of a packet (QUESTION); answered by messages of this command, each with a STEP.
    pub const EXPLAIN: u8 = 144;
    /// Ours: add addresses to a pool of local addresses (POOL), which is made if it is not there.
    pub const NEW_POOL: u8 = 145;
    /// Ours: take addresses out of a pool (POOL), or without addresses delete it.
    pub const DEL_POOL: u8 = 146;
    /// Ours: dump the pools; each answer is a message of this command.
    pub const GET_POOL: u8 = 147;
}

/// Attributes at the top level of a message.
pub mod attribute {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const SERVICE: u16 = 1;
    pub const DEST: u16 = 2;
    pub const DAEMON: u16 = 3;
    pub const TIMEOUT_TCP: u16 = 4;
    pub const TIMEOUT_TCP_FIN: u16 = 5;
    pub const TIMEOUT_UDP: u16 = 6;
    /// Ours: a connection, see [`super::connection`].
    pub const CONNECTION: u16 = 128;
    /// Ours: a socket option, see [`super::sockopt`].
    pub const SOCKOPT: u16 = 129;
    /// Ours: a setting, see [`super::setting`].
    pub const SYSCTL: u16 = 130;
    /// Ours: the counters of everything, see [`super::total`].
    pub const STATS: u16 = 131;
    /// Ours: a rule that gives packets their firewall mark, see [`super::mark`].
    pub const MARK: u16 = 132;
    /// Ours: packets dropped for a reason, see [`super::dropped`].
    pub const DROP: u16 = 136;
    /// Ours: a packet to be explained, see [`super::question`].
    pub const QUESTION: u16 = 144;
    /// Ours: what is decided about it, see [`super::step`].
    pub const STEP: u16 = 145;
    /// Ours: a pool of local addresses for full NAT, see [`super::pool`].
    pub const POOL: u16 = 146;
    /// One more than the greatest.
    pub(crate) const END: usize = 147;
}

/// Attributes inside QUESTION (ours): addresses of 16 bytes, IPv4 in the first four; ports in network byte order.
pub mod question {
    /// Family of both addresses, u16.
    pub const AF: u16 = 1;
    /// IP protocol, u16: 6, 17 or 132.
    pub const PROTOCOL: u16 = 2;
    /// Where the packet comes from.
    pub const SOURCE_ADDR: u16 = 3;
    /// Its source port.
    pub const SOURCE_PORT: u16 = 4;
    /// Where it goes to.
    pub const DEST_ADDR: u16 = 5;
    /// Its destination port.
    pub const DEST_PORT: u16 = 6;
    /// TCP flags, or the type of an SCTP packet's only chunk; u8.
    pub const FLAGS: u16 = 7;
    /// Bytes from the IP header on, u16; 0: as few as can be.
    pub const SIZE: u16 = 8;
    /// Firewall mark in place of that of the rules, u32; may be missing.
    pub const MARK: u16 = 9;
}

/// Attributes inside STEP (ours).
pub mod step {
    /// What it is about, text.
    pub const NAME: u16 = 1;
    /// For people, text.
    pub const TEXT: u16 = 2;
    /// A name with its value, a nest; any number of them.
    pub const FACT: u16 = 3;

    /// Attributes inside FACT: the name and one value.
    pub mod fact {
        /// The name, text.
        pub const NAME: u16 = 1;
        /// The value, text.
        pub const TEXT: u16 = 2;
        /// The value, u64.
        pub const NUMBER: u16 = 3;
        /// The value, u8: 0 or 1.
        pub const FLAG: u16 = 4;
    }
}

/// Attributes inside DROP.
pub mod dropped {
    /// Who dropped them, text.
    pub const BY: u16 = 1;
    /// Name of the reason, text.
    pub const REASON: u16 = 2;
    /// Packets, u64.
    pub const PACKETS: u16 = 3;
    /// 1, u32: of a defence that is on now; else left out.
    pub const ACTIVE: u16 = 4;
}

/// Attributes inside SERVICE.
pub mod service {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const AF: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const ADDR: u16 = 3;
    pub const PORT: u16 = 4;
    pub const FWMARK: u16 = 5;
    pub const SCHED_NAME: u16 = 6;
    pub const FLAGS: u16 = 7;
    pub const TIMEOUT: u16 = 8;
    pub const NETMASK: u16 = 9;
    pub const STATS: u16 = 10;
    pub const PE_NAME: u16 = 11;
    pub const STATS64: u16 = 12;
    /// Ours: name of the helper, NUL-terminated; not there: by port. Read by itself, for the kernel's parser ends before it.
    pub const HELPER: u16 = 128;
}

/// Attributes inside DEST.
pub mod destination {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const ADDR: u16 = 1;
    pub const PORT: u16 = 2;
    pub const FWD_METHOD: u16 = 3;
    pub const WEIGHT: u16 = 4;
    pub const U_THRESH: u16 = 5;
    pub const L_THRESH: u16 = 6;
    pub const ACTIVE_CONNS: u16 = 7;
    pub const INACT_CONNS: u16 = 8;
    pub const PERSIST_CONNS: u16 = 9;
    pub const STATS: u16 = 10;
    pub const ADDR_FAMILY: u16 = 11;
    pub const STATS64: u16 = 12;
    pub const TUN_TYPE: u16 = 13;
    pub const TUN_PORT: u16 = 14;
    pub const TUN_FLAGS: u16 = 15;
    /// Ours: name of the pool of local addresses, NUL-terminated: full NAT, which FWD_METHOD shows as masquerading. Empty in
    /// requests: no full NAT. Not there in requests: from a client that knows the kernel's methods alone. Read by itself, for the
    /// kernel's parser ends before it.
    pub const LOCAL_POOL: u16 = 128;
    /// Ours: whether it is told clients' addresses by the PROXY protocol, u8: 0 or 1; not there: as it was. Read by itself, as a
    /// service's HELPER.
    pub const PROXY: u16 = 129;
}

/// Attributes inside DAEMON (sync daemons).
pub mod daemon {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const STATE: u16 = 1;
    pub const MCAST_IFN: u16 = 2;
    pub const SYNC_ID: u16 = 3;
    pub const SYNC_MAXLEN: u16 = 4;
    pub const MCAST_GROUP: u16 = 5;
    pub const MCAST_GROUP6: u16 = 6;
    pub const MCAST_PORT: u16 = 7;
    pub const MCAST_TTL: u16 = 8;
}

/// Attributes inside CONNECTION (ours): addresses of 16 bytes, ports in network byte order.
pub mod connection {
    /// Family of client and virtual address, u16.
    pub const AF: u16 = 1;
    /// IP protocol, u16; 0 for a firewall-mark template.
    pub const PROTOCOL: u16 = 2;
    /// Client address.
    pub const CLIENT_ADDR: u16 = 3;
    /// Client port.
    pub const CLIENT_PORT: u16 = 4;
    /// Virtual address.
    pub const VIRTUAL_ADDR: u16 = 5;
    /// Virtual port.
    pub const VIRTUAL_PORT: u16 = 6;
    /// Family of the destination's address, u16.
    pub const DEST_AF: u16 = 7;
    /// Destination address.
    pub const DEST_ADDR: u16 = 8;
    /// Destination port.
    pub const DEST_PORT: u16 = 9;
    /// State name as /proc/net/ip_vs_conn prints it, NUL-terminated.
    pub const STATE: u16 = 10;
    /// Seconds until it expires, u32.
    pub const EXPIRES: u16 = 11;
    /// Persistence engine's name, NUL-terminated; only of its templates.
    pub const PE_NAME: u16 = 12;
    /// Persistence engine's data, 1 to 255 bytes; only of its templates.
    pub const PE_DATA: u16 = 13;
    /// With full NAT, the address that the server sees as its client's, of the family of the destination's.
    pub const LOCAL_ADDR: u16 = 14;
    /// And the port.
    pub const LOCAL_PORT: u16 = 15;
}

/// Attributes inside SYSCTL (ours).
pub mod setting {
    /// Name of the file in /proc/sys/net/ipv4/vs, NUL-terminated.
    pub const NAME: u16 = 1;
    /// Value as the file's text, no NUL.
    pub const VALUE: u16 = 2;
}

/// Attributes inside STATS at the top level (ours): each a nest like STATS64 of a service.
pub mod total {
    /// Counters since the last zeroing, and rates.
    pub const SHOWN: u16 = 1;
    /// Counters since the start, never zeroed; no rates.
    pub const RUNNING: u16 = 2;
}

/// Attributes inside SOCKOPT (ours).
pub mod sockopt {
    /// 0: getsockopt, 1: setsockopt; u8.
    pub const OPERATION: u16 = 1;
    /// Option number, u32.
    pub const NUMBER: u16 = 2;
    /// Length: in requests the one that the caller gave, in answers the one to give back; u32.
    pub const LENGTH: u16 = 3;
    /// Bytes of the caller's buffer, or for it.
    pub const DATA: u16 = 4;
    /// In answers: where in the caller's buffer DATA goes; u32.
    pub const OFFSET: u16 = 5;
}

/// Attributes inside MARK (ours).
pub mod mark {
    /// Address family, u16.
    pub const AF: u16 = 1;
    /// IP protocol number, u16.
    pub const PROTOCOL: u16 = 2;
    /// Destination network, 16 bytes, IPv4 in the first four.
    pub const NETWORK: u16 = 3;
    /// Length of its prefix, u8.
    pub const PREFIX: u16 = 4;
    /// Destination ports: for each range the first and the last, two bytes each, in network order. All ports without.
    pub const PORTS: u16 = 5;
    /// The mark, u32.
    pub const MARK: u16 = 6;
}

/// Attributes inside POOL (ours).
pub mod pool {
    /// Name, NUL-terminated.
    pub const NAME: u16 = 1;
    /// An address, 4 bytes or 16; any number of them, in order.
    pub const ADDRESS: u16 = 2;
    /// Answers: connections that use its addresses, u64.
    pub const CONNECTIONS: u16 = 3;
    /// Answers: packets that began no connection because all ports were in use, u64.
    pub const EXHAUSTED: u16 = 4;
    /// Answers: destinations that take addresses from it, u32.
    pub const REFERENCES: u16 = 5;
}

/// Attributes of the GET_INFO answer, at the top level.
pub mod info {
    /// Version, u32: 0x010201 for 1.2.1.
    pub const VERSION: u16 = 1;
    /// Size of the connection table, u32.
    pub const CONN_TAB_SIZE: u16 = 2;
}

/// Netlink message types.
pub mod kind {
    /// An error, or with error 0 an acknowledgement (NLMSG_ERROR).
    pub const ERROR: u16 = 2;
    /// End of a dump (NLMSG_DONE).
    pub const DONE: u16 = 3;
    /// Types below are netlink's own control messages (NLMSG_MIN_TYPE).
    pub const FIRST_FAMILY: u16 = 0x10;
    /// The family that resolves families (GENL_ID_CTRL).
    pub const NLCTRL: u16 = 0x10;
}

/// Netlink message flags (NLM_F_*).
pub mod flag {
    /// A request.
    pub const REQUEST: u16 = 0x001;
    /// Part of a dump.
    pub const MULTI: u16 = 0x002;
    /// Acknowledge success.
    pub const ACK: u16 = 0x004;
    /// On requests, both bits together: a dump.
    pub const DUMP: u16 = 0x300;
    /// On errors: the request's payload is left out.
    pub const CAPPED: u16 = 0x100;
}

/// Address families.
pub mod family {
    /// AF_INET.
    pub const INET: u16 = 2;
    /// AF_INET6.
    pub const INET6: u16 = 10;
}
