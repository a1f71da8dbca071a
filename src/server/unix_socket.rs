//! A Unix socket and its file: who may open it, when an old one makes room, and that it is removed in the end.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{self, Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::net::{SocketAddrUnix, connect};
use tokio::net::{UnixListener, UnixSocket as Unbound};

use super::listener::BACKLOG;

/// How many times the lock of the directory is tried, and the pause between two tries.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A Unix socket that listens.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket, which is removed when this is dropped.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Its device and its inode.
    id: (u64, u64),
}

impl UnixSocket {
    /// Listens at `path`, with this mode. Replaces the socket of a process that has ended.
    ///
    /// Fails if a process listens there, or if another kind of file is there.
    pub(super) fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        let path = path::absolute(path)?;
        let locked = lock_directory_of(&path);
        make_room(&path)?;
        let socket = Unbound::new_stream()?;
        socket.bind(&path)?;
        let file = SocketFile { id: id(&path)?, path };
        // No client can connect before the socket listens.
        fs::set_permissions(&file.path, Permissions::from_mode(mode))?;
        let listener = socket.listen(BACKLOG)?;
        drop(locked);
        Ok(Self { listener, file })
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another server may have replaced it.
        if id(&self.path).is_ok_and(|there| there == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    let there = fs::symlink_metadata(path)?;
    Ok((there.dev(), there.ino()))
}

/// Removes the socket of a process that has ended.
fn make_room(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::other(
            "a file that is no socket is there, and was left as it is; remove it, or choose another path with --listen",
        ));
    }
    // It does not wait: a process whose queue is full is alive.
    let socket = Unbound::new_stream()?;
    match connect(&socket, &SocketAddrUnix::new(path)?).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Keeps the directory for this server until the lock is dropped: two servers that find the same old socket at the same moment
/// would remove each other's new one. Returns `None` if the directory can't be locked; that is rare, and no reason to refuse.
fn lock_directory_of(path: &Path) -> Option<File> {
    let directory = File::open(path.parent()?).ok()?;
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn the_file_has_the_mode_and_goes_with_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        for wanted in [0o600, 0o660, 0o666] {
            let socket = UnixSocket::bind(&path, wanted).unwrap();
            assert_eq!(mode(&path), wanted);
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the file outlives its socket");
        let living = UnixSocket::bind(&path, 0o660).unwrap();
        let refused = UnixSocket::bind(&path, 0o660).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
        drop(living);
    }

    #[tokio::test]
    async fn a_socket_whose_queue_is_full_is_alive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = Unbound::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let _busy = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        for _ in 0..8 {
            let client = Unbound::new_stream().unwrap();
            let connected = connect(&client, &SocketAddrUnix::new(&path).unwrap());
            waiting.push((client, connected));
        }
        assert!(
            waiting.iter().any(|(_, connected)| connected.is_err()),
            "the queue is full"
        );
        let refused = UnixSocket::bind(&path, 0o660).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let dead = directory.path().join("dead");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let file = directory.path().join("file");
        fs::write(&file, "kept").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&dead, &link).unwrap();
        let folder = directory.path().join("folder");
        fs::create_dir(&folder).unwrap();
        for path in [&file, &link, &folder] {
            let refused = UnixSocket::bind(path, 0o660).unwrap_err().to_string();
            assert!(refused.contains("is no socket"), "{refused}");
            assert!(fs::symlink_metadata(path).is_ok());
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        assert!(dead.exists());
    }

    #[tokio::test]
    async fn another_servers_file_is_not_removed_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = UnixSocket::bind(&path, 0o660).unwrap();
        fs::rename(&path, directory.path().join("moved")).unwrap();
        let second = UnixSocket::bind(&path, 0o660).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
