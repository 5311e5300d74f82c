//! The running kernel's types.

use btf_rs::{Btf, BtfType, Type};
use std::path::Path;

pub struct Kernel {
    types: Btf,
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
        // at once: its parser seeks before each type
        let bytes = std::fs::read(path).map_err(|e| no_types(e.to_string()))?;
        let types = Btf::from_bytes(&bytes).map_err(|e| no_types(e.to_string()))?;
        Ok(Self { types })
    }

    /// Where a field lies, in bytes. `names` are those of one field over the versions, the newest last.
    pub fn offset(&self, structure: &'static str, names: &[&str]) -> Result<u64, KernelError> {
        let ids = self
            .types
            .resolve_ids_by_name(structure)
            .unwrap_or_default();
        for name in names {
            for id in &ids {
                if let Some(offset) = self.member(*id, name) {
                    return Ok(offset.into());
                }
            }
        }
        Err(KernelError::NoField {
            structure,
            field: names.join(" or "),
        })
    }

    /// Whether the kernel has a type of this name: a tracepoint's is `btf_trace_NAME`.
    pub fn has(&self, name: &str) -> bool {
        self.types
            .resolve_ids_by_name(name)
            .is_ok_and(|ids| !ids.is_empty())
    }

    /// Also of a structure without a name within.
    fn member(&self, id: u32, name: &str) -> Option<u32> {
        let (Type::Struct(structure) | Type::Union(structure)) =
            self.types.resolve_type_by_id(id).ok()?
        else {
            return None;
        };
        for member in &structure.members {
            let own = self.types.resolve_name(member).unwrap_or_default();
            if own == name {
                return Some(member.bit_offset() / 8);
            }
            if !own.is_empty() {
                continue;
            }
            let mut inner = member.get_type_id()?;
            while let Type::Const(of) | Type::Volatile(of) =
                self.types.resolve_type_by_id(inner).ok()?
            {
                inner = of.get_type_id()?;
            }
            if let Some(offset) = self.member(inner, name) {
                return Some(member.bit_offset() / 8 + offset);
            }
        }
        None
    }
}
