//! Serves the two filesystems.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use fuser::{Config, Session, SessionACL};

use super::channels::Channels;
use super::directory::Directory;
use super::provider::Provider;

/// The threads that serve. They end with the mount namespace of the command, that is with its last process.
#[derive(Debug)]
pub struct Server(Vec<JoinHandle<io::Result<()>>>);

impl Server {
    /// Waits until nobody can use the files any more.
    ///
    /// # Errors
    /// What ended the serving before that.
    pub fn wait(self) -> io::Result<()> {
        for thread in self.0 {
            thread.join().map_err(|_| io::Error::other("a thread that serves files panicked"))??;
        }
        Ok(())
    }
}

/// Serves the files through `channels`, after [`super::mount`] has succeeded with them, in threads. The calling process
/// must not be in the command's mount namespace, which would never end then.
///
/// # Errors
/// NotConnected if the namespace is gone already; that of the system.
pub fn serve(channels: Channels, provider: Arc<dyn Provider>) -> io::Result<Server> {
    let Channels { tables, settings } = channels;
    let mut threads = Vec::new();
    for (directory, channel) in
        [(Directory::tables(provider.clone())?, tables), (Directory::settings(provider)?, settings)]
    {
        let session = Session::from_fd(directory, channel, SessionACL::All, Config::default())?;
        threads.push(thread::Builder::new().name("files".into()).spawn(move || session.run())?);
    }
    Ok(Server(threads))
}
