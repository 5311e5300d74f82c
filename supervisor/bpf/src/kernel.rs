//! The running kernel's types.

use crate::types::Types;
use std::path::Path;

pub struct Kernel {
    types: Types,
}

#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error(
        "the kernel does not say how its structures lie ({path}: {error}): it is built without CONFIG_DEBUG_INFO_BTF, or /sys is not mounted"
    )]
    NoTypes { path: String, error: String },
    #[error("the kernel's {structure} has no {field}: this kernel is not known to stockade")]
    NoField {
        structure: &'static str,
        field: String,
    },
}

pub const PATH: &str = "/sys/kernel/btf/vmlinux";

impl Kernel {
    /// Of the kernel that runs.
    pub fn running() -> Result<Self, KernelError> {
        Self::of(Path::new(PATH))
    }

    pub fn of(path: &Path) -> Result<Self, KernelError> {
        let no_types = |error: String| KernelError::NoTypes {
            path: path.display().to_string(),
            error,
        };
        let data = std::fs::read(path).map_err(|e| no_types(e.to_string()))?;
        let types = Types::parse(data).map_err(|e| no_types(e.to_string()))?;
        Ok(Self { types })
    }

    /// Where a field lies, in bytes. `names` are those of one field over the versions, the newest last.
    pub fn offset(&self, structure: &'static str, names: &[&str]) -> Result<u64, KernelError> {
        let found = names.iter().find_map(|n| self.types.offset(structure, n));
        found.map(u64::from).ok_or_else(|| KernelError::NoField {
            structure,
            field: names.join(" or "),
        })
    }

    /// Whether the kernel has a type of this name: a tracepoint's is `btf_trace_NAME`.
    pub fn has(&self, name: &str) -> bool {
        self.types.has(name)
    }
}
