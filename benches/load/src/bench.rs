//! What the scenarios share: the built binary, a folder for databases, and servers that are started on their cores.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use jwt_server::Config;
use rustix::fs::syncfs;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Options,
    description::{Call, Description, Values, fill_in},
    machine::{self, Cores},
    server::{Server, free_port},
    wrk,
};

pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) ours: Description,
    pub(crate) peers: Vec<Description>,
    /// Where this repository is.
    pub(crate) root: PathBuf,
    binary: PathBuf,
    scratch: TempDir,
}

impl Bench {
    /// Builds the server, and reads what is to be measured.
    pub(crate) fn new(options: Options) -> Result<Self> {
        machine::check()?;
        ensure!(
            options.rounds > 0 && options.seconds > 0,
            "nothing would be measured"
        );
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here
            .ancestors()
            .nth(2)
            .context("benches/load lies two folders deep")?;
        let peers = options.peers.iter().map(|file| Description::read(file));
        Ok(Self {
            ours: Description::read(&here.join("servers/jwt-server.toml"))?,
            peers: peers.collect::<Result<_>>()?,
            binary: build(root)?,
            root: root.to_owned(),
            // Beside this program, because that is on a disk: a temporary folder may be in memory.
            scratch: tempfile::tempdir_in(
                env::current_exe()?
                    .parent()
                    .context("a program lies in a folder")?,
            )?,
            options,
        })
    }

    /// bcrypt's cost where nothing speaks for another than the server's own.
    pub(crate) fn cost(&self) -> u32 {
        self.options
            .cost
            .unwrap_or_else(|| Config::default().password.bcrypt_cost)
    }

    /// A folder for temporary files, on a disk.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A file or folder of this name that does not exist yet.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch().join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        }
        Ok(path)
    }

    /// A file with `call` for each of `values`, for the load tool.
    pub(crate) fn requests(
        &self,
        name: &str,
        call: &Call,
        values: impl IntoIterator<Item = Values>,
    ) -> Result<PathBuf> {
        let file = self.scratch().join(name);
        wrk::write_requests(&file, values.into_iter().map(|values| call.raw(&values)))?;
        Ok(file)
    }

    /// A request of this user that this server answers once it has read all sessions.
    pub(crate) fn whole(&self, user: &Values) -> Result<String> {
        let whole = self.ours.whole.as_ref().context("this server lists sessions")?;
        Ok(whole.raw(user))
    }

    /// What tokens are signed with, unless a scenario measures several algorithms; `None` for the server's default.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.options.algorithms.first().map(String::as_str)
    }

    /// Waits until all that was written is on the disk: what the system still had to write of a database that has been
    /// filled would disturb the first rounds.
    pub(crate) fn settle(&self) -> Result<()> {
        eprintln!("waiting for the disk");
        Ok(syncfs(File::open(self.scratch())?)?)
    }

    /// This server over the database in `data`, with `flags` beside those of its description.
    pub(crate) fn server(&self, data: &Path, flags: &[&str], cores: &Cores) -> Result<Server> {
        self.server_asked(data, flags, cores, &ready(&self.ours.ready))
    }

    /// The same, whose first answer is the one to `request`.
    pub(crate) fn server_asked(
        &self,
        data: &Path,
        flags: &[&str],
        cores: &Cores,
        request: &str,
    ) -> Result<Server> {
        let algorithm = self.algorithm().into_iter();
        let algorithm = algorithm.flat_map(|name| ["--token.algorithm", name]);
        let flags: Vec<&str> = flags.iter().copied().chain(algorithm).collect();
        self.start(&self.ours, data, &flags, cores, request)
    }

    /// This server over the database in `data`, whose tokens are signed with `algorithm`.
    pub(crate) fn server_signing(
        &self,
        data: &Path,
        algorithm: Option<&str>,
        cores: &Cores,
    ) -> Result<Server> {
        let flags: Vec<&str> = algorithm
            .into_iter()
            .flat_map(|name| ["--token.algorithm", name])
            .collect();
        self.start(&self.ours, data, &flags, cores, &ready(&self.ours.ready))
    }

    /// A peer, over the empty folder `data`.
    pub(crate) fn peer(&self, peer: &Description, data: &Path, cores: &Cores) -> Result<Server> {
        self.start(peer, data, &[], cores, &ready(&peer.ready))
    }

    /// The bare warp server: over this server's accept loop, or over warp's own.
    pub(crate) fn twin(&self, warp_alone: bool, cores: &Cores) -> Result<Server> {
        let port = free_port()?;
        let mut command = Cores::pinned(cores.server, env::current_exe()?);
        command.args(["twin", &port.to_string()]);
        if warp_alone {
            command.arg("--warp-alone");
        }
        Server::start(command, port, &ready("/"), &self.scratch().join("twin.log"))
    }

    /// What a limit measures, on the cores that the server has at other times.
    pub(crate) fn limit(cores: &Cores, arguments: &[&str]) -> Result<f64> {
        let mut command = Cores::pinned(cores.server, env::current_exe()?);
        let output = command.args(arguments).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{command:?}: {}", output.status);
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    fn start(
        &self,
        description: &Description,
        data: &Path,
        flags: &[&str],
        cores: &Cores,
        request: &str,
    ) -> Result<Server> {
        let port = free_port()?;
        let values: Values = [
            ("port", port.to_string()),
            ("data", data.display().to_string()),
            ("binary", self.binary.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut words = description.start.iter().map(|word| fill_in(word, &values));
        let program = words
            .next()
            .with_context(|| format!("{} has no start", description.name))?;
        let mut command = Cores::pinned(cores.server, program);
        command.args(words).args(flags).current_dir(self.scratch());
        Server::start(command, port, request, &self.scratch().join("server.log"))
    }
}

/// A request that is answered 200 as soon as a server serves.
fn ready(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
}

/// Builds the release binary and returns where it is.
fn build(root: &Path) -> Result<PathBuf> {
    eprintln!("building the server");
    let output = Command::new("cargo")
        .args(["build", "--release", "--locked", "--bin", "jwt-server"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the server can't be built");
    let said = String::from_utf8(output.stdout)?;
    let messages = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let binary = messages
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    let binary = binary.context("cargo does not say where the server is")?;
    File::open(&binary).with_context(|| binary.display().to_string())?;
    Ok(binary)
}
