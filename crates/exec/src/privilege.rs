//! Whether a client may administer the network namespace that is served: what the kernel's `ns_capable` asks.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::process::{NamespaceId, Thread};
use crate::syscall;

/// Power over a network namespace: the user namespace that owns a network namespace, then its parent and so on, as far as they are seen from here.
#[derive(Debug)]
pub struct Authority {
    chain: Vec<UserNamespace>,
}

#[derive(Debug)]
struct UserNamespace {
    id: NamespaceId,
    owner: Option<u32>,
}

impl Authority {
    /// Over the network namespace of this thread. Empty if the one who owns it is not seen from here: then nobody
    /// whom this process could serve has power over it.
    ///
    /// # Errors
    /// That of opening the namespace's file in /proc.
    pub fn over_own_network() -> io::Result<Self> {
        let network = File::open("/proc/thread-self/ns/net")?;
        let mut chain = Vec::new();
        let mut next = syscall::owning_user_namespace(network.as_fd());
        while let Ok(namespace) = next {
            let owner = syscall::owner_of_user_namespace(namespace.as_fd()).ok();
            next = syscall::parent_namespace(namespace.as_fd());
            chain.push(UserNamespace { id: identify(namespace)?, owner });
        }
        Ok(Self { chain })
    }

    /// Whether the process `id`, by its first thread, has CAP_NET_ADMIN over it (see capabilities(7)). The caller makes sure
    /// that the number still means the process that it has in mind.
    pub fn is_held_by_process(&self, id: u32) -> bool {
        self.is_held_by(Thread::new(id))
    }

    /// Whether `thread` has CAP_NET_ADMIN over it: in the owning user namespace or one above, or by having made, from
    /// the namespace above, one of them.
    ///
    /// Asked anew for each call (about 4 us): threads change their credentials, and nothing tells of it.
    pub(crate) fn is_held_by(&self, thread: Thread) -> bool {
        let capable = thread.has_net_admin();
        if !capable && self.chain.len() < 2 {
            return false;
        }
        let Ok(namespace) = thread.namespace("user") else { return false };
        let Some(level) = self.chain.iter().position(|entry| entry.id == namespace) else { return false };
        let made_the_one_below = || {
            let below = level.checked_sub(1).and_then(|below| self.chain.get(below));
            let owner = below.and_then(|entry| entry.owner);
            owner.is_some() && thread.status().and_then(|status| status.effective_user()).ok() == owner
        };
        capable || made_the_one_below()
    }
}

fn identify(namespace: OwnedFd) -> io::Result<NamespaceId> {
    File::from(namespace).metadata().map(|metadata| NamespaceId::of(&metadata))
}

/// Does something with no effective capability in this thread, and in the name of `user` if this thread may take that
/// name, so that files which it opens vouch for no more than that.
pub(crate) fn without_capabilities<T>(user: u32, work: impl FnOnce() -> T) -> io::Result<T> {
    struct Restore(CapabilitySets, nix::unistd::Uid);
    impl Drop for Restore {
        fn drop(&mut self) {
            // To one's own sets and name, which is always permitted.
            let _ = set_capabilities(None, self.0);
            nix::unistd::setfsuid(self.1);
            // The change of name took some of them away.
            let _ = set_capabilities(None, self.0);
        }
    }
    let sets = capabilities(None)?;
    let former = nix::unistd::setfsuid(nix::unistd::Uid::from_raw(user));
    let _restore = Restore(sets, former);
    set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..sets })?;
    Ok(work())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_come_back() {
        let before = capabilities(None).unwrap();
        let within = without_capabilities(65534, || capabilities(None).unwrap().effective).unwrap();
        assert_eq!(within, CapabilitySet::empty());
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn holds_for_a_thread_with_the_capability_and_not_without_it() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: run it by sudo");
        let authority = Authority::over_own_network().unwrap();
        let this = || Thread::new(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
        assert!(authority.is_held_by(this()));
        assert!(!without_capabilities(0, || authority.is_held_by(this())).unwrap());
    }
}
