//! Who may ask for it, and what is shown and kept.

use ipvs_core::{Command, DestinationConfig, Error, ForwardingMethod, ServiceId};

use crate::rig::{Family, Rig};
use crate::{rig, server, service, told};

fn shown(rig: &mut Rig) -> Option<bool> {
    rig.destinations(service(Family::V4))[0].config.proxy
}

fn edit(rig: &mut Rig, config: DestinationConfig) -> Result<(), Error> {
    let command = Command::EditDestination(service(Family::V4), server(Family::V4), config);
    rig.director.execute(rig.now, &rig.host, command).map(|_| ())
}

#[test]
fn whoever_does_not_know_it_leaves_it_alone() {
    let mut rig = rig(Family::V4);
    assert_eq!(shown(&mut rig), Some(true));
    let unsaid = DestinationConfig { proxy: None, weight: 7, ..told() };
    edit(&mut rig, unsaid).unwrap();
    assert_eq!(shown(&mut rig), Some(true));
    edit(&mut rig, DestinationConfig { proxy: Some(false), ..told() }).unwrap();
    assert_eq!(shown(&mut rig), None);
    edit(&mut rig, unsaid).unwrap();
    assert_eq!(shown(&mut rig), None);
    edit(&mut rig, told()).unwrap();
    // A method that cannot do it ends it.
    edit(&mut rig, DestinationConfig { forwarding: ForwardingMethod::DIRECT, ..unsaid }).unwrap();
    assert_eq!(shown(&mut rig), None);
    edit(&mut rig, unsaid).unwrap();
    assert_eq!(shown(&mut rig), None);
}

#[test]
fn masquerading_of_tcp_alone() {
    let mut rig = rig(Family::V4);
    for forwarding in [ForwardingMethod::DIRECT, ForwardingMethod::TUNNEL, ForwardingMethod::LOCAL] {
        assert_eq!(edit(&mut rig, DestinationConfig { forwarding, ..told() }), Err(Error::ProxyMethod));
    }
    let family = Family::V4;
    for protocol in [17, 132] {
        let id = rig.service(family, protocol, "rr");
        let command = Command::AddDestination(id, server(family), told());
        assert_eq!(rig.director.execute(rig.now, &rig.host, command), Err(Error::ProxyProtocol));
    }
    let mark = ServiceId::Mark { ipv6: false, mark: 5 };
    rig.execute(Command::AddService(mark, crate::rig::round_robin(0)));
    rig.execute(Command::AddDestination(mark, server(family), told()));
    assert_eq!(rig.destinations(mark)[0].config.proxy, Some(true));
}
