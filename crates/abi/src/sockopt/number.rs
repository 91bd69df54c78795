//! Option numbers (IP_VS_SO_*).

/// The first number of both kinds (IP_VS_BASE_CTL).
pub const BASE: u32 = 1152;

/// Numbers of setsockopt.
pub mod set {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const NONE: u32 = 1152;
    pub const INSERT: u32 = 1153;
    pub const ADD: u32 = 1154;
    pub const EDIT: u32 = 1155;
    pub const DEL: u32 = 1156;
    pub const FLUSH: u32 = 1157;
    pub const LIST: u32 = 1158;
    pub const ADDDEST: u32 = 1159;
    pub const DELDEST: u32 = 1160;
    pub const EDITDEST: u32 = 1161;
    pub const TIMEOUT: u32 = 1162;
    pub const STARTDAEMON: u32 = 1163;
    pub const STOPDAEMON: u32 = 1164;
    pub const RESTORE: u32 = 1165;
    pub const SAVE: u32 = 1166;
    pub const ZERO: u32 = 1167;
    /// The last number.
    pub const MAX: u32 = ZERO;
}

/// Numbers of getsockopt.
pub mod get {
    #![allow(missing_docs, reason = "the names are the kernel's")]
    pub const VERSION: u32 = 1152;
    pub const INFO: u32 = 1153;
    pub const SERVICES: u32 = 1154;
    pub const SERVICE: u32 = 1155;
    pub const DESTS: u32 = 1156;
    pub const DEST: u32 = 1157;
    pub const TIMEOUT: u32 = 1158;
    pub const DAEMON: u32 = 1159;
    /// The last number.
    pub const MAX: u32 = DAEMON;
}
