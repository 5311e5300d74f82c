//! The directory of an agent's own in stockade's state, filled once from the user's.

use super::{Agent, Places};
use crate::exit::Failure;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// One file at most; what is larger is no setting.
const MAX_BYTES: u64 = 16 << 20;

/// Nothing when the directory is there: what the agent changed in it counts from then on.
pub fn fill(agent: &Agent, users: &Places, directory: &Path) -> Result<(), Failure> {
    if directory.is_dir() {
        return Ok(());
    }
    let fail = |e| Failure::file("fill the agent's directory", directory, e);
    let parent = directory.parent().unwrap_or(Path::new("/"));
    make(parent).map_err(fail)?;
    // one first start at a time; what stands there unfinished is of one that was killed
    let turn = std::fs::File::open(parent).map_err(fail)?;
    turn.lock().map_err(fail)?;
    if directory.is_dir() {
        return Ok(());
    }
    // whole or not at all: a second start must not take half a copy for the whole
    let fresh = parent.join(format!(".{}", agent.name));
    crate::remove::tree(&fresh).map_err(|e| fail(e.into()))?;
    make(&fresh).map_err(fail)?;
    for name in &agent.fill {
        copy(&users.state.join(name), &fresh.join(name)).map_err(fail)?;
    }
    for path in &users.replaced {
        let name = path.file_name().unwrap_or_default();
        copy(path, &fresh.join(name)).map_err(fail)?;
    }
    std::fs::rename(&fresh, directory).map_err(fail)
}

fn make(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Files and directories; links and the rest are left out, what is not there too.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let found = match from.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if found.is_dir() {
        make(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if found.is_file() && found.len() <= MAX_BYTES {
        let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(from)?;
        let mut file = file.take(MAX_BYTES);
        let mut copy = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        std::io::copy(&mut file, &mut copy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_once_and_follows_no_link() {
        let place = std::env::temp_dir().join(format!("stockade-fill-{}", std::process::id()));
        let (state, own) = (place.join("state"), place.join("own"));
        std::fs::create_dir_all(&state).unwrap();
        std::fs::write(state.join("settings.json"), "1").unwrap();
        std::fs::write(place.join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(place.join("secret"), state.join("CLAUDE.md")).unwrap();
        let agent = super::super::of(Some("claude"), "".as_ref())
            .unwrap()
            .unwrap();
        let users = Places {
            state: state.clone(),
            replaced: vec![place.join(".claude.json")],
            variable: None,
        };
        fill(&agent, &users, &own).unwrap();
        assert_eq!(
            std::fs::read_to_string(own.join("settings.json")).unwrap(),
            "1"
        );
        assert!(!own.join("CLAUDE.md").exists());
        std::fs::write(state.join("settings.json"), "2").unwrap();
        fill(&agent, &users, &own).unwrap();
        assert_eq!(
            std::fs::read_to_string(own.join("settings.json")).unwrap(),
            "1"
        );
        std::fs::remove_dir_all(&place).unwrap();
    }
}
