//! A directory of files from the daemon, as a FUSE filesystem.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, ReplyXattr, Request, TimeOrNow,
    WriteFlags,
};
use rustix::fs::OFlags;

use super::attributes::{KEEP, attributes};
use super::caller::{CAP_DAC_OVERRIDE, Caller};
use super::handle::{Handle, Handles};
use super::name::Name;
use super::permission::{may_access, may_open};
use super::provider::Provider;
use super::real_net::RealNet;
use super::waiting::Waiting;

/// The inode number of the first file; the root has 1.
const FIRST: u64 = 2;

/// One directory: /proc/sys/net/ipv4/vs, or what /proc/net leads to.
pub(super) struct Directory {
    names: Vec<Name>,
    /// The other files of /proc/net; none in the directory of settings.
    others: Option<RealNet>,
    provider: Arc<dyn Provider>,
    handles: Handles,
    waiting: Arc<Waiting>,
    time: SystemTime,
}

/// What an inode number stands for.
enum Node {
    Root,
    File(Name),
    Link,
}

impl Directory {
    /// The tables, among links to the other files of /proc/net.
    pub(super) fn tables(provider: Arc<dyn Provider>) -> std::io::Result<Self> {
        Self::new(Name::tables(), Some(RealNet::default()), provider)
    }

    /// The settings.
    pub(super) fn settings(provider: Arc<dyn Provider>) -> std::io::Result<Self> {
        Self::new(Name::settings(), None, provider)
    }

    fn new(names: Vec<Name>, others: Option<RealNet>, provider: Arc<dyn Provider>) -> std::io::Result<Self> {
        let waiting = Waiting::start()?;
        Ok(Self { names, others, provider, handles: Handles::default(), waiting, time: SystemTime::now() })
    }

    fn node(&self, inode: INodeNo) -> Option<Node> {
        if inode == INodeNo::ROOT {
            return Some(Node::Root);
        }
        let position = usize::try_from(inode.0.checked_sub(FIRST)?).ok()?;
        let file = self.names.get(position).map(|name| Node::File(*name));
        file.or_else(|| self.others.as_ref()?.target(inode).map(|_| Node::Link))
    }

    fn find(&self, caller: Caller, name: &OsStr) -> Option<INodeNo> {
        let position = self.names.iter().position(|file| name == file.text());
        let file = position.map(|position| INodeNo(FIRST + position as u64));
        file.or_else(|| self.others.as_ref()?.find(caller, name))
    }

    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, mode) = match self.node(inode)? {
            Node::Root => (FileType::Directory, 0o555),
            Node::File(Name::Table(_)) => (FileType::RegularFile, 0o444),
            Node::File(Name::Setting(_)) => (FileType::RegularFile, 0o644),
            Node::Link => (FileType::Symlink, 0o777),
        };
        Some(attributes(inode, kind, mode, self.time))
    }

    /// What procfs answers where a name is to go.
    const fn no_removal(&self) -> Errno {
        if self.others.is_some() { Errno::EPERM } else { Errno::EACCES }
    }

    fn list(&self, caller: Caller) -> Handle {
        let mut listed = vec![
            (INodeNo::ROOT, FileType::Directory, ".".into()),
            (INodeNo::ROOT, FileType::Directory, "..".into()),
        ];
        for (position, name) in self.names.iter().enumerate() {
            listed.push((INodeNo(FIRST + position as u64), FileType::RegularFile, name.text().into()));
        }
        let others = self.others.as_ref().map(|net| net.list(caller)).unwrap_or_default();
        let others = others.into_iter().filter(|(_, name)| self.names.iter().all(|own| name != own.text()));
        listed.extend(others.map(|(inode, name)| (inode, FileType::Symlink, name)));
        Handle::Directory(listed)
    }
}

/// What procfs answers where a new name is asked for, as there is none.
const NO_NEW_NAME: Errno = Errno::ENOENT;

/// Without `flush`, which the kernel asks for once only then: each close(2) is cheaper.
impl Filesystem for Directory {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Kernels before 4.20 lack it, and ask for each link each time.
        let _ = config.add_capabilities(InitFlags::FUSE_CACHE_SYMLINKS);
        Ok(())
    }

    fn destroy(&mut self) {
        self.waiting.close();
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let inode = self.find(request.into(), name).filter(|_| parent == INodeNo::ROOT);
        match inode.and_then(|inode| self.attributes(inode)) {
            Some(attributes) => reply.entry(&KEEP, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&KEEP, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// Truncation does nothing, as do new times; mode and owner cannot be changed.
    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let caller = Caller::from(request);
        let Some(node) = self.node(inode) else { return reply.error(Errno::ENOENT) };
        if mode.is_some() || uid.is_some() || gid.is_some() {
            return reply.error(Errno::EPERM);
        }
        if size.is_some() {
            // Who holds a file open for writing was allowed to.
            let allowed = handle.is_some()
                || matches!(node, Node::File(name) if may_access(name, AccessFlags::W_OK, caller));
            if !allowed {
                return reply.error(Errno::EACCES);
            }
        } else if caller.uid != 0 {
            return reply.error(Errno::EPERM);
        }
        self.getattr(request, inode, handle, reply);
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        match self.others.as_ref().and_then(|net| net.target(inode)) {
            Some(target) => reply.data(target.as_os_str().as_encoded_bytes()),
            None => reply.error(Errno::EINVAL),
        }
    }

    fn access(&self, request: &Request, inode: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let caller = Caller::from(request);
        let allowed = match self.node(inode) {
            Some(Node::File(name)) => may_access(name, mask, caller),
            Some(Node::Root) => {
                !mask.contains(AccessFlags::W_OK)
                    || self.others.is_some() && caller.has_capability(CAP_DAC_OVERRIDE)
            }
            Some(Node::Link) => true,
            None => return reply.error(Errno::ENOENT),
        };
        if allowed { reply.ok() } else { reply.error(Errno::EACCES) }
    }

    fn open(&self, request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let Some(Node::File(name)) = self.node(inode) else { return reply.error(Errno::ENOENT) };
        if !may_open(name, flags.acc_mode(), request.into()) {
            return reply.error(Errno::EACCES);
        }
        let appends = OFlags::from_bits_retain(flags.0.cast_unsigned()).contains(OFlags::APPEND);
        reply.opened(self.handles.insert(Handle::file(name, appends)), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(handle) = self.handles.get(handle) else { return reply.error(Errno::EBADF) };
        let provider = self.provider.clone();
        self.waiting.work(request.into(), reply, move || handle.read(offset, size, &*provider));
    }

    fn write(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Some(handle) = self.handles.get(handle) else { return reply.error(Errno::EBADF) };
        let (provider, text) = (self.provider.clone(), data.to_vec());
        self.waiting.work(request.into(), reply, move || handle.write(offset, &text, &*provider));
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.handles.remove(handle);
        reply.ok();
    }

    fn opendir(&self, request: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(self.handles.insert(self.list(request.into())), FopenFlags::empty());
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let Some(handle) = self.handles.get(handle) else { return reply.error(Errno::EBADF) };
        let Handle::Directory(listed) = &*handle else { return reply.error(Errno::ENOTDIR) };
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (position, (inode, kind, name)) in listed.iter().enumerate().skip(skipped) {
            if reply.add(*inode, position as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.handles.remove(handle);
        reply.ok();
    }

    fn listxattr(&self, _: &Request, _: INodeNo, size: u32, reply: ReplyXattr) {
        if size == 0 { reply.size(0) } else { reply.data(&[]) }
    }

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        reply.error(NO_NEW_NAME);
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(NO_NEW_NAME);
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(NO_NEW_NAME);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(NO_NEW_NAME);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(NO_NEW_NAME);
    }

    fn rename(
        &self,
        request: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        match self.find(request.into(), name) {
            Some(_) => reply.error(self.no_removal()),
            None => reply.error(NO_NEW_NAME),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(self.no_removal());
    }
}
