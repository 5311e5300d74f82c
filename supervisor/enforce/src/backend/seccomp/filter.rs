//! What libseccomp is to compile, as plain data: a program that was compiled of exactly this
//! before is found by its hash.

use super::Result;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpFilterContext, ScmpSyscall, ScmpVersion,
};
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};

/// What a call is answered that no rule is about.
const UNKNOWN: ScmpAction = ScmpAction::Errno(libc::ENOSYS);
const WRONG_ARCHITECTURE: ScmpAction = ScmpAction::KillProcess;
/// Of libseccomp: a binary tree over the calls.
const OPTIMIZE: u32 = 2;

/// Compiled programs of earlier sessions: compiling takes longer than all the rest of a plan.
pub trait Filters {
    /// `name` says everything that the program was made of.
    fn kept(&self, name: &str) -> Option<Vec<u8>>;
    fn keep(&self, name: &str, program: &[u8]);
}

/// Each program compiled anew.
#[derive(Debug, Clone, Copy)]
pub struct NoFilters;

impl Filters for NoFilters {
    fn kept(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }

    fn keep(&self, _name: &str, _program: &[u8]) {}
}

#[derive(Hash)]
struct Rule {
    action: ScmpAction,
    call: ScmpSyscall,
    when: Vec<ScmpArgCompare>,
}

/// In the order in which libseccomp gets them.
#[derive(Default)]
pub struct Filter {
    rules: Vec<Rule>,
}

impl Filter {
    pub fn add_rule(&mut self, action: ScmpAction, call: ScmpSyscall) -> Result<()> {
        self.add_rule_conditional(action, call, &[])
    }

    pub fn add_rule_conditional(
        &mut self,
        action: ScmpAction,
        call: ScmpSyscall,
        when: &[ScmpArgCompare],
    ) -> Result<()> {
        self.rules.push(Rule {
            action,
            call,
            when: when.to_vec(),
        });
        Ok(())
    }

    /// A program for these rules: one that is kept, else compiled now and kept.
    pub fn program(&self, filters: &dyn Filters) -> Result<Vec<u8>> {
        let name = self.name()?;
        if let Some(program) = filters.kept(&name) {
            return Ok(program);
        }
        let program = self.compile()?;
        filters.keep(&name, &program);
        Ok(program)
    }

    /// The hash of all that a program depends on.
    fn name(&self) -> Result<String> {
        let version = ScmpVersion::current()?;
        let mut all = Bytes::default();
        (version.major, version.minor, version.micro).hash(&mut all);
        (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH).hash(&mut all);
        (UNKNOWN, WRONG_ARCHITECTURE, OPTIMIZE).hash(&mut all);
        self.rules.hash(&mut all);
        let hash = Sha256::digest(&all.0);
        Ok(hash.iter().map(|b| format!("{b:02x}")).collect())
    }

    fn compile(&self) -> Result<Vec<u8>> {
        let mut filter = ScmpFilterContext::new(UNKNOWN)?;
        filter.set_act_badarch(WRONG_ARCHITECTURE)?;
        filter.set_ctl_nnp(false)?;
        filter.set_ctl_optimize(OPTIMIZE)?;
        debug_assert!(filter.is_arch_present(ScmpArch::Native)?);
        for Rule { action, call, when } in &self.rules {
            if when.is_empty() {
                filter.add_rule(*action, *call)?;
            } else {
                filter.add_rule_conditional(*action, *call, when)?;
            }
        }
        use nix::sys::memfd::{MFdFlags, memfd_create};
        use std::io::{Read, Seek};
        let memory = memfd_create("stockade-seccomp", MFdFlags::MFD_CLOEXEC)?;
        let mut file = std::fs::File::from(memory);
        filter.export_bpf(&mut file)?;
        file.rewind()?;
        let mut program = Vec::new();
        file.read_to_end(&mut program)?;
        Ok(program)
    }
}

/// What is hashed, as it is: `Hash` says where each part ends.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
