//! `export`: the users as lines of JSON, which `import` reads.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    connection::{Connection, Download},
    failure::Failure,
    process::{complain, runtime},
};
use crate::config::Config;

pub(super) fn command() -> Command {
    Command::new("export")
        .about("Write the users as lines of JSON, which import reads")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .default_value("-")
                .help("The file, or - for standard output"),
        )
        .arg(
            Arg::new("with-hashes")
                .long("with-hashes")
                .action(ArgAction::SetTrue)
                .help("With the hashes of the passwords, without which no user can be imported"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Overwrite the file if it exists"),
        )
}

pub(super) fn run(arguments: &ArgMatches, config: &Config) -> Result<(), Failure> {
    let name = arguments.get_one::<String>("file").map_or("-", String::as_str);
    let with_hashes = arguments.get_flag("with-hashes");
    let path = format!("/admin/export?with_hashes={with_hashes}");
    runtime()?.block_on(async {
        let connection = Connection::open(config, false, "; nothing was exported").await?;
        let refused = |refusal: super::connection::Refusal| refusal.failure("nothing was exported");
        if name == "-" {
            let download = connection.download(&path).await.map_err(refused)?;
            write(download, &mut io::stdout().lock(), "standard output").await?;
            return Ok(());
        }
        let mut target = Target::begin(Path::new(name), arguments.get_flag("force"))?;
        let download = connection.download(&path).await.map_err(refused)?;
        let count = write(download, &mut target.part, name).await?;
        target.end()?;
        complain(&format!("{count} users are in {name}"));
        Ok(())
    })
}

/// Writes what comes to `out`, and returns how many lines it is.
async fn write(mut download: Download, out: &mut impl Write, name: &str) -> Result<usize, Failure> {
    let mut lines = 0;
    loop {
        let piece = download.next().await;
        let piece = piece.map_err(|refusal| refusal.failure("the export was cut short"))?;
        let Some(piece) = piece else {
            break;
        };
        lines += piece.split(|byte| *byte == b'\n').count() - 1;
        out.write_all(&piece)
            .map_err(|error| Failure::io(&format!("{name} can't be written"), &error))?;
    }
    out.flush()
        .map_err(|error| Failure::io(&format!("{name} can't be written"), &error))?;
    Ok(lines)
}

/// A file that gets its content at the end, all at once. Until then it is empty, or as it was before.
struct Target {
    path: PathBuf,
    part_path: PathBuf,
    part: File,
    /// Whether the empty file is this command's.
    is_new: bool,
    is_whole: bool,
}

impl Target {
    fn begin(path: &Path, force: bool) -> Result<Self, Failure> {
        let shown = path.display();
        let unwritable = |error| Failure::io(&format!("{shown} can't be written"), &error);
        let path = match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(Failure::Other(format!(
                    "{shown} is no regular file and was left as it is; name another file, or write to standard output with -"
                )));
            }
            // Behind a link, the file itself is overwritten.
            Ok(_) => fs::canonicalize(path).map_err(unwritable)?,
            Err(_) => path.to_owned(),
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        // In one step with the check: another process may create it meanwhile.
        let is_new = match options.open(&path) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && force => false,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Failure::Other(format!(
                    "{shown} exists and was left as it is; overwrite it with --force, or name another file"
                )));
            }
            Err(error) => return Err(unwritable(error)),
        };
        let mut part_path = path.as_os_str().to_owned();
        part_path.push(format!(".part-{}", std::process::id()));
        let part_path = PathBuf::from(part_path);
        match options.open(&part_path) {
            Ok(part) => Ok(Self {
                path,
                part_path,
                part,
                is_new,
                is_whole: false,
            }),
            Err(error) => {
                if is_new {
                    let _ = fs::remove_file(&path);
                }
                Err(Failure::io(
                    &format!("{} can't be written", part_path.display()),
                    &error,
                ))
            }
        }
    }

    fn end(&mut self) -> Result<(), Failure> {
        let unwritable =
            |error: &io::Error| Failure::io(&format!("{} can't be written", self.path.display()), error);
        let done = self.part.sync_all();
        let done = done.and_then(|()| fs::rename(&self.part_path, &self.path));
        done.map_err(|error| unwritable(&error))?;
        self.is_whole = true;
        // A power cut may take the name of the file otherwise.
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = File::open(directory.unwrap_or(Path::new(".")));
        let synced = directory.and_then(|directory| directory.sync_all());
        synced.map_err(|error| unwritable(&error))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = fs::remove_file(&self.part_path);
            if self.is_new {
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}
