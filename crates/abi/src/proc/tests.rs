//! Against texts of the reference kernel (`conformance/recordings/proc.txt`, and one run with templates).

use core::convert::Infallible;
use std::net::IpAddr;

use ipvs_core::{
    ConnectionInfo, DestinationConfig, DestinationId, DestinationInfo, EngineData, Info, Rates, ServiceInfo,
    Stats, TotalStats,
};
use ipvs_core::{Counters, ForwardingMethod, MarkTarget, ServiceFlags, ServiceId};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn service(id: ServiceId, scheduler: &str, flags: u32, timeout: u32, netmask: u32) -> ServiceInfo {
    ServiceInfo {
        id,
        scheduler: scheduler.to_owned(),
        persistence_engine: None,
        helper: None,
        flags: ServiceFlags(flags | ServiceFlags::HASHED),
        timeout,
        netmask,
        target: MarkTarget::default(),
        destinations: 0,
        stats: Stats::default(),
    }
}

fn address(protocol: u16, address: &str, port: u16) -> ServiceId {
    ServiceId::Address { protocol, address: ip(address), port }
}

fn destination(address: &str, port: u16, method: ForwardingMethod, weight: i32) -> DestinationInfo {
    DestinationInfo {
        id: DestinationId { address: ip(address), port },
        config: DestinationConfig::new(method, weight),
        active: 1,
        inactive: 20,
        persistent: 7,
        stats: Stats::default(),
    }
}

/// A director that has these, in pages of one.
fn director(
    services: Vec<(ServiceInfo, Vec<DestinationInfo>)>,
    connections: Vec<ConnectionInfo>,
    stats: TotalStats,
) -> impl FnMut(Command) -> Result<Reply, Infallible> {
    fn page<T: Clone>(items: &[T], cursor: u64) -> (Vec<T>, Option<u64>) {
        let next = cursor + 1;
        let item = usize::try_from(cursor).ok().and_then(|cursor| items.get(cursor));
        (item.into_iter().cloned().collect(), (next < items.len() as u64).then_some(next))
    }
    move |command| {
        Ok(match command {
            Command::GetInfo => Reply::Info(Info { version: 0x01_02_01, table_size: 4096, services: 0 }),
            Command::ListServices { cursor, .. } => {
                let all: Vec<_> = services.iter().map(|(service, _)| service.clone()).collect();
                let (items, next) = page(&all, cursor);
                Reply::Services { items, next }
            }
            Command::ListDestinations { service, cursor, .. } => {
                let found = services.iter().find(|(info, _)| info.id == service);
                let (items, next) = page(found.map_or(&[][..], |(_, all)| all), cursor);
                Reply::Destinations { items, next }
            }
            Command::ListConnections { cursor, .. } => {
                let (items, next) = page(&connections, cursor);
                Reply::Connections { items, next }
            }
            Command::GetStats => Reply::Stats(Box::new(stats)),
            _ => Reply::Done,
        })
    }
}

fn text(file: File, director: &mut dyn FnMut(Command) -> Result<Reply, Infallible>) -> String {
    let Ok(text) = read(file, 2, director);
    String::from_utf8(text).unwrap()
}

#[test]
fn services_and_destinations() {
    use ForwardingMethod as Method;
    let (persistent, one_packet) = (ServiceFlags::PERSISTENT, ServiceFlags::ONE_PACKET);
    let mark = |ipv6, mark| ServiceId::Mark { ipv6, mark };
    let all = vec![
        (
            service(address(6, "10.0.0.100", 80), "wlc", 0, 0, u32::MAX),
            vec![
                destination("10.0.0.12", 8080, Method::MASQUERADE, i32::MAX),
                destination("10.0.0.14", 80, Method::TUNNEL, 0),
                destination("2001:db8::11", 80, Method::TUNNEL, 1),
                destination("10.0.0.15", 80, Method::LOCAL, 1),
                destination("10.0.0.16", 80, Method::BYPASS, 1),
            ],
        ),
        (service(address(17, "10.0.0.100", 53), "rr", one_packet, 0, u32::MAX), vec![]),
        (service(address(6, "255.255.255.254", 65535), "wrr", persistent, 3600, 0xffff_ff00), vec![]),
        (service(address(17, "10.0.0.101", 53), "sh", persistent | one_packet, 50, u32::MAX), vec![]),
        (service(address(132, "10.0.0.100", 9899), "lc", 0, 0, u32::MAX), vec![]),
        (service(address(6, "2001:db8::100", 80), "sed", persistent, 300, 64), vec![]),
        (service(address(17, "2001:db8::100", 80), "nq", one_packet, 0, 128), vec![]),
        (service(mark(false, 42), "rr", 0, 0, u32::MAX), vec![]),
        (service(mark(false, u32::MAX), "rr", one_packet, 0, u32::MAX), vec![]),
        (service(mark(false, 43), "rr", persistent | one_packet, 100, u32::MAX), vec![]),
        (service(mark(true, 8), "rr", persistent, 300, 64), vec![]),
    ];
    let want = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A000064:0050 wlc  
  -> 0A00000C:1F90      Masq    2147483647 1          20        
  -> 0A00000E:0050      Tunnel  0      1          20        
  -> [2001:0db8:0000:0000:0000:0000:0000:0011]:0050      Tunnel  1      1          20        
  -> 0A00000F:0050      Local   1      1          20        
  -> 0A000010:0050      Route   1      1          20        
UDP  0A000064:0035 rr ops  
TCP  FFFFFFFE:FFFF wrr  persistent 900000 FFFFFF00
UDP  0A000065:0035 sh ops  persistent 12500 FFFFFFFF
SCTP  0A000064:26AB lc  
TCP  [2001:0db8:0000:0000:0000:0000:0000:0100]:0050 sed persistent 75000 40000000
UDP  [2001:0db8:0000:0000:0000:0000:0000:0100]:0050 nq 
FWM  0000002A rr 
FWM  FFFFFFFF rr ops 
FWM  0000002B rr ops persistent 25000 FFFFFFFF
FWM  00000008 rr persistent 75000 40000000
";
    assert_eq!(text(File::IpVs, &mut director(all, vec![], TotalStats::default())), want);
}

#[test]
fn connections() {
    let row = |protocol, client: (&str, u16), service: (&str, u16), server: (&str, u16), state, expires| {
        ConnectionInfo {
            protocol,
            client: ip(client.0),
            client_port: client.1,
            virtual_address: ip(service.0),
            virtual_port: service.1,
            destination: ip(server.0),
            destination_port: server.1,
            state,
            expires,
            engine: None,
            local: None,
        }
    };
    let engine = EngineData { name: "sip".to_owned(), data: Box::from(&b"a@x"[..]) };
    let template = row(17, ("10.0.0.2", 0), ("10.0.0.100", 5060), ("10.0.0.12", 5060), "NONE", 299);
    let all = vec![
        row(0, ("10.0.0.0", 0), ("0.0.0.7", 0), ("10.0.0.12", 0), "NONE", 279),
        row(17, ("10.0.0.2", 40001), ("10.0.0.100", 53), ("10.0.0.11", 53), "UDP", 2971),
        row(17, ("2001:db8::2", 40010), ("2001:db8::100", 53), ("10.0.0.11", 53), "UDP", 2986),
        row(6, ("10.0.0.2", 40010), ("10.0.0.100", 82), ("10.0.0.11", 82), "SYN_RECV", 52),
        ConnectionInfo { engine: Some(engine), ..template },
    ];
    let want = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
IP  0A000000 0000 00000007 0000 0A00000C 0000 NONE            279
UDP 0A000002 9C41 0A000064 0035 0A00000B 0035 UDP            2971
UDP 2001:0db8:0000:0000:0000:0000:0000:0002 9C4A 2001:0db8:0000:0000:0000:0000:0000:0100 0035 0A00000B 0035 UDP            2986
TCP 0A000002 9C4A 0A000064 0052 0A00000B 0052 SYN_RECV         52
UDP 0A000002 0000 0A000064 13C4 0A00000C 13C4 NONE            299 sip a@x
";
    assert_eq!(text(File::IpVsConn, &mut director(vec![], all.clone(), TotalStats::default())), want);
    let want = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires
IP  0A000000 0000 00000007 0000 0A00000C 0000 NONE        LOCAL      279
UDP 0A000002 9C41 0A000064 0035 0A00000B 0035 UDP         LOCAL     2971
UDP 2001:0db8:0000:0000:0000:0000:0000:0002 9C4A 2001:0db8:0000:0000:0000:0000:0000:0100 0035 0A00000B 0035 UDP         LOCAL     2986
TCP 0A000002 9C4A 0A000064 0052 0A00000B 0052 SYN_RECV    LOCAL       52
UDP 0A000002 0000 0A000064 13C4 0A00000C 13C4 NONE        LOCAL      299
";
    assert_eq!(text(File::IpVsConnSync, &mut director(vec![], all, TotalStats::default())), want);
}

#[test]
fn counters() {
    let shown = Counters { connections: 0xb, packets_in: 0xb, packets_out: 0, bytes_in: 0x26a, bytes_out: 0 };
    let stats = TotalStats {
        shown: Stats { counters: shown, rates: Rates { bytes_in: 0x16, ..Rates::default() } },
        running: Counters { bytes_out: u64::MAX, ..shown },
    };
    let want = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
       B        B        0              26A                0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       0        0        0               16                0
";
    assert_eq!(text(File::IpVsStats, &mut director(vec![], vec![], stats)), want);
    let want = "       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0        B        B        0              26A FFFFFFFFFFFFFFFF
  1        0        0        0                0                0
  ~        B        B        0              26A                0

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
           0        0        0               16                0
";
    assert_eq!(text(File::IpVsStatsPercpu, &mut director(vec![], vec![], stats)), want);
}

#[test]
fn names_are_found_and_refusals_passed_on() {
    for file in File::ALL {
        assert_eq!(File::from_name(file.name()), Some(file));
    }
    assert_eq!(File::from_name("ip_vs_"), None);
    assert_eq!(read(File::IpVs, 1, &mut |_| Err("refused")), Err("refused"));
}
