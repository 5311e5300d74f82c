//! A home and a workspace of the bench's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub struct Place(PathBuf);

impl Place {
    /// As a developer has them: with tools' folders and a repository.
    pub fn new(name: &str) -> Result<Self, String> {
        let place =
            std::env::temp_dir().join(format!("stockade-bench-{}-{name}", std::process::id()));
        for folder in [
            "home/.cargo/registry",
            "home/.npm",
            "home/.cache/pip",
            "home/.config/git",
            "work/.git/hooks",
            "beside",
            "files",
        ] {
            make(&place.join(folder))?;
        }
        let place = Self(place);
        for file in [
            "home/.gitconfig",
            "home/.bashrc",
            "home/.profile",
            "work/.git/config",
        ] {
            place.write(file, "")?;
        }
        Ok(place)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn work(&self) -> PathBuf {
        self.at("work")
    }

    /// The workspace of peers: some make files in theirs, which would change what a session is.
    pub fn beside(&self) -> PathBuf {
        self.at("beside")
    }

    pub fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.at(name);
        make(path.parent().unwrap_or(&path))?;
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// In the workspace, with a home, a path and nothing else of this process's variables.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env_clear()
            .env("HOME", self.at("home"))
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// The workspace on a tmpfs that no other process of the host sees. Not for an ordinary user.
    pub fn work_in_memory(&self) -> Result<(), String> {
        use nix::mount::{MsFlags, mount};
        use nix::sched::{CloneFlags, unshare};
        let none = None::<&str>;
        let failed = |e: nix::errno::Errno| format!("a tmpfs of its own: {e}");
        unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(failed)?;
        mount(
            Some("tmpfs"),
            &self.work(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=755"),
        )
        .map_err(failed)?;
        make(&self.work().join(".git/hooks"))?;
        self.write("work/.git/config", "")
    }

    pub fn end_memory(&self) -> Result<(), String> {
        let work = self.work();
        nix::mount::umount(&work).map_err(|e| format!("{}: {e}", work.display()))
    }

    pub fn remove(self) -> Result<(), String> {
        if std::fs::remove_dir_all(&self.0).is_ok() {
            return Ok(());
        }
        // overlayfs makes its own work folder unlistable to all but root
        let mut open = Command::new("chmod");
        open.args(["-R", "u+rwX"]).arg(&self.0);
        open.status().map_err(|e| format!("chmod: {e}"))?;
        std::fs::remove_dir_all(&self.0).map_err(|e| format!("{}: {e}", self.0.display()))
    }
}

pub fn make(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))
}
