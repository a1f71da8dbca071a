//! The binary as a child process, in a temporary directory of its own and with none of this process's settings. The process ends
//! with its test, also if the test fails.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit};
use tempfile::TempDir;

use crate::client::{Client, Deadline, PATIENCE};

/// How often a test polls what it can't wait for.
pub(crate) const MOMENT: Duration = Duration::from_millis(5);

/// The working directory of the binary. With the default settings its database is in `data`.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory can be made"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The binary with these arguments and nothing else.
    pub(crate) fn program(&self, arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jwt-server"));
        command.current_dir(self.0.path()).args(arguments);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("JWT_SERVER") {
                command.env_remove(name);
            }
        }
        Program {
            command,
            flags: BTreeMap::new(),
            input: String::new(),
            log: None,
            unread: false,
        }
    }

    /// The binary as a server on a free port of loopback, with the cheapest bcrypt.
    pub(crate) fn server(&self) -> Program {
        self.program(&[])
            .flag("--listen", "127.0.0.1:0")
            .flag("--password.bcrypt_cost", "4")
    }

    pub(crate) fn start(&self) -> Server {
        self.server().start()
    }

    /// Gives the directory and all in it to another user, which only root can do.
    pub(crate) fn give_to(&self, user: u32) {
        give(self.0.path(), user);
    }

    /// Another directory with the same files in it.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for (path, content) in self.files() {
            let path = copy.path(&path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        copy
    }

    /// Every file with its content, except the one with the id of the process that opened the database last.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.0.path(), self.0.path(), &mut files);
        files.remove("data/lock");
        files
    }
}

fn give(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.is_file() {
            // A killed server leaves its control socket, which has no content.
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The binary, about to be started.
pub(crate) struct Program {
    command: Command,
    flags: BTreeMap<String, String>,
    input: String,
    log: Option<&'static str>,
    unread: bool,
}

impl Program {
    /// Adds arguments, which may repeat a flag.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a flag, over an earlier value.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sends the log into a file instead of to the test.
    pub(crate) fn log_to(mut self, file: &'static str) -> Self {
        self.log = Some(file);
        self
    }

    /// Sends the log into a pipe that the test does not read.
    pub(crate) fn log_unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// Runs it as another user, which only root can do.
    pub(crate) fn by_user(mut self, user: u32) -> Self {
        let user = user.to_string();
        let arguments = ["--reuid", &user, "--regid", &user, "--clear-groups", "--"];
        self.command = rewrapped(&self.command, "setpriv", &arguments);
        self
    }

    /// Sets the mode bits that the files it makes do not get.
    pub(crate) fn umask(self, mask: &str) -> Self {
        self.within(&format!("umask {mask}"))
    }

    /// Limits the processes and threads of its user. The limit does not hold for root.
    pub(crate) fn most_threads(mut self, count: u32) -> Self {
        let limit = format!("--nproc={count}");
        self.command = rewrapped(&self.command, "prlimit", &[&limit, "--"]);
        self
    }

    /// Limits the length of the process's files, in blocks. A write beyond that fails as on a full disk.
    pub(crate) fn longest_file(self, blocks: u32) -> Self {
        self.within(&format!("trap '' XFSZ; ulimit -S -f {blocks}"))
    }

    /// Runs it in the mount namespace of another process, in this directory.
    pub(crate) fn among_mounts_of(self, process: u32, directory: &Path) -> Self {
        let mut inside = self.within(&format!("cd '{}'", directory.display()));
        let process = process.to_string();
        let arguments = ["--preserve-credentials", "-U", "-m", "-t", &process];
        inside.command = rewrapped(&inside.command, "nsenter", &arguments);
        inside
    }

    /// Runs it in a network of its own, without IPv6. It exits with 99 if that can't be had.
    pub(crate) fn without_ipv6(self) -> Self {
        let mut inside = self.within(
            "{ ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; } 2>/dev/null || exit 99",
        );
        inside.command = rewrapped(&inside.command, "unshare", &["-rn"]);
        inside
    }

    /// Runs it where no user can write `directory`.
    pub(crate) fn read_only(self, directory: &str) -> Self {
        let mut inside = self.within(&format!(
            "mount --bind {directory} {directory} && mount -o remount,ro,bind {directory} || exit 99"
        ));
        inside.command = rewrapped(&inside.command, "unshare", &["-rm"]);
        inside
    }

    /// Runs it in a shell, after the command `first`.
    fn within(mut self, first: &str) -> Self {
        let script = format!("{first}; exec \"$@\"");
        self.command = rewrapped(&self.command, "sh", &["-c", &script, "sh"]);
        self
    }

    /// Sets its standard input.
    pub(crate) fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    /// Starts it as a server. Panics if the process ends instead.
    pub(crate) fn start(self) -> Server {
        let started = self.try_start();
        started.unwrap_or_else(|ended| panic!("the server ended instead of starting: {ended:?}"))
    }

    /// Starts it as a server. Fails with how the process ended if it does not serve.
    pub(crate) fn try_start(self) -> Result<Server, Ended> {
        let mut process = self.spawn();
        let deadline = Deadline::after(PATIENCE);
        // The line of the signing key is the last that is always there, and the whole banner is written at once.
        while !process.out.text().contains("signing key") {
            if let Some(status) = process.child.try_wait().unwrap() {
                return Err(process.ended_with(status));
            }
            assert!(
                !deadline.is_over(),
                "no banner came in time: {:?} {:?}",
                process.out.text(),
                process.err.text()
            );
            thread::sleep(MOMENT);
        }
        let banner = process.out.text();
        let port = banner
            .lines()
            .find_map(|line| line.trim().strip_prefix("listening on")?.rsplit(':').next());
        let port = port.and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in the banner: {banner}"));
        Ok(Server {
            process,
            client: Client(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        })
    }

    /// Runs it until it ends by itself.
    pub(crate) fn run(self) -> Ended {
        self.spawn().wait()
    }

    /// Starts it, and kills it after `span`.
    pub(crate) fn kill_after(self, span: Duration) {
        let mut process = self.spawn();
        thread::sleep(span);
        // It may have ended by itself; the next start then tells why.
        let _ = process.child.kill();
        process.wait();
    }

    /// Begins to run it.
    pub(crate) fn begin(self) -> Running {
        Running(self.spawn())
    }

    fn spawn(mut self) -> Process {
        for (name, value) in &self.flags {
            self.command.arg(name).arg(value);
        }
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match self.log {
                Some(file) => Stdio::from(fs::File::options().write(true).open(file).unwrap()),
                None => Stdio::piped(),
            })
            .spawn()
            .expect("the binary can be started");
        // A program that does not read its input may have ended.
        let _ = child.stdin.take().unwrap().write_all(self.input.as_bytes());
        let out = Gathered::from(child.stdout.take().unwrap());
        let err = match child.stderr.take() {
            // Kept open: the server must be able to write.
            Some(pipe) if self.unread => {
                child.stderr = Some(pipe);
                Gathered::from(io::empty())
            }
            Some(pipe) => Gathered::from(pipe),
            None => Gathered::from(io::empty()),
        };
        Process { child, out, err }
    }
}

/// `command`, run by the program `by` with these arguments before it.
fn rewrapped(command: &Command, by: &str, arguments: &[&str]) -> Command {
    let mut outer = Command::new(by);
    outer
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        outer.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// The output of a process so far.
struct Gathered {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => {
                        let mut text = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        text.extend_from_slice(&buffer[..length]);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => panic!("a pipe of the process can't be read: {error}"),
                }
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The whole output, after the process has ended and closed its end of the pipe.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}

struct Process {
    child: Child,
    out: Gathered,
    err: Gathered,
}

impl Process {
    fn wait(mut self) -> Ended {
        let deadline = Deadline::after(PATIENCE);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return self.ended_with(status);
            }
            assert!(
                !deadline.is_over(),
                "the process did not end in time: {:?} {:?}",
                self.out.text(),
                self.err.text()
            );
            thread::sleep(MOMENT);
        }
    }

    fn ended_with(&mut self, status: ExitStatus) -> Ended {
        Ended {
            code: status.code(),
            out: self.out.all(),
            err: self.err.all(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running command.
pub(crate) struct Running(Process);

impl Running {
    /// Waits until its output contains `text`.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        let deadline = Deadline::after(PATIENCE);
        while !self.0.out.text().contains(text) {
            assert!(
                !deadline.is_over(),
                "it never said {text:?}: {:?} {:?}",
                self.0.out.text(),
                self.0.err.text()
            );
            thread::sleep(MOMENT);
        }
    }

    /// Ends it, and returns its output.
    pub(crate) fn stop(mut self) -> String {
        self.0.child.kill().unwrap();
        self.0.wait().out
    }
}

/// A running server, which a test uses as a [`Client`].
pub(crate) struct Server {
    process: Process,
    client: Client,
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        self.client
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// What it printed at its start.
    pub(crate) fn banner(&self) -> String {
        self.process.out.text()
    }

    /// Ends it as `kill -9` does: between two instructions.
    pub(crate) fn kill(mut self) -> Ended {
        self.process.child.kill().unwrap();
        self.process.wait()
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status();
        assert!(
            sent.expect("there is a program kill").success(),
            "SIG{name} could not be sent"
        );
    }

    /// Limits the length of its files, in bytes. `None` restores the limit of the start.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let none = rustix::process::getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit {
            current: bytes,
            maximum: none,
        };
        rustix::process::prlimit(id, Resource::Fsize, limit).unwrap();
    }

    /// Waits until its log contains `text`.
    pub(crate) fn logs(&self, text: &str) {
        self.logs_times(text, 1);
    }

    /// Waits until its log contains `text` so many times.
    pub(crate) fn logs_times(&self, text: &str, times: usize) {
        let deadline = Deadline::after(PATIENCE);
        while self.process.err.text().matches(text).count() < times {
            assert!(
                !deadline.is_over(),
                "the log never said {text:?}: {}",
                self.process.err.text()
            );
            thread::sleep(MOMENT);
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_some()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(self) -> Ended {
        self.process.wait()
    }
}

/// How a process ended, and its output.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn assert_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Asserts that it failed with this exit code and one line on standard error. Returns the line.
    #[track_caller]
    pub(crate) fn assert_refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "not one line: {self:?}");
        assert!(self.err.starts_with("jwt-server: "), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self.err.trim_end().to_owned()
    }
}
