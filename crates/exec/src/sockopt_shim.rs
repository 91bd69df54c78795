//! Stands in for the socket-option codec until it is there: every option is unknown.

use ipvs_abi::errno::Errno;
use ipvs_client::{ClientError, ControlClient};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    Set,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SockoptAnswer {
    pub(crate) chunks: Vec<(u32, Vec<u8>)>,
    pub(crate) length: u32,
}

pub(crate) fn check(_: Operation, _: u32, _: i32, _: bool) -> Result<usize, Errno> {
    Err(Errno::ENOPROTOOPT)
}

pub(crate) trait Sockopts {
    fn set_sockopt(&mut self, number: u32, data: &[u8]) -> Result<(), ClientError>;
    fn get_sockopt(&mut self, number: u32, length: u32, head: &[u8]) -> Result<SockoptAnswer, ClientError>;
}

impl Sockopts for ControlClient {
    fn set_sockopt(&mut self, _: u32, _: &[u8]) -> Result<(), ClientError> {
        Err(ClientError::Refused(Errno::ENOPROTOOPT))
    }

    fn get_sockopt(&mut self, _: u32, _: u32, _: &[u8]) -> Result<SockoptAnswer, ClientError> {
        Err(ClientError::Refused(Errno::ENOPROTOOPT))
    }
}
