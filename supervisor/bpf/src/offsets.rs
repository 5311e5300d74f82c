//! Every field of the kernel's that the programs read: their names in `.rodata` and where they lie.

use crate::kernel::{Kernel, KernelError};

/// A field of a structure, or of one that lies in it: each step is a structure and its field's names.
type Path = &'static [(&'static str, &'static [&'static str])];

const FIELDS: &[(&str, Path)] = &[
    ("TASK_LEADER", &[("task_struct", &["group_leader"])]),
    ("TASK_FS", &[("task_struct", &["fs"])]),
    ("TASK_FILES", &[("task_struct", &["files"])]),
    ("TASK_PID", &[("task_struct", &["pid"])]),
    ("TASK_TGID", &[("task_struct", &["tgid"])]),
    ("TASK_THREAD_PID", &[("task_struct", &["thread_pid"])]),
    ("TASK_EXIT_CODE", &[("task_struct", &["exit_code"])]),
    ("TASK_SIGNAL", &[("task_struct", &["signal"])]),
    ("TASK_MM", &[("task_struct", &["mm"])]),
    ("FS_ROOT", &[("fs_struct", &["root"])]),
    ("FS_PWD", &[("fs_struct", &["pwd"])]),
    ("PATH_MNT", &[("path", &["mnt"])]),
    ("PATH_DENTRY", &[("path", &["dentry"])]),
    ("DENTRY_PARENT", &[("dentry", &["d_parent"])]),
    (
        "DENTRY_NAME",
        &[("dentry", &["d_name"]), ("qstr", &["name"])],
    ),
    (
        "DENTRY_HASHED",
        &[("dentry", &["d_hash"]), ("hlist_bl_node", &["pprev"])],
    ),
    ("MNT_ROOT", &[("vfsmount", &["mnt_root"])]),
    ("MOUNT_MNT", &[("mount", &["mnt"])]),
    ("MOUNT_PARENT", &[("mount", &["mnt_parent"])]),
    ("MOUNT_POINT", &[("mount", &["mnt_mountpoint"])]),
    ("FILES_TABLE", &[("files_struct", &["fdt"])]),
    ("TABLE_FILES", &[("fdtable", &["fd"])]),
    ("TABLE_SIZE", &[("fdtable", &["max_fds"])]),
    ("FILE_PATH", &[("file", &["f_path"])]),
    ("FILE_INODE", &[("file", &["f_inode"])]),
    ("INODE_NUMBER", &[("inode", &["i_ino"])]),
    ("INODE_SB", &[("inode", &["i_sb"])]),
    ("SB_DEVICE", &[("super_block", &["s_dev"])]),
    ("MM_ARG_START", &[("mm_struct", &["arg_start"])]),
    ("MM_ARG_END", &[("mm_struct", &["arg_end"])]),
    ("MM_ENV_START", &[("mm_struct", &["env_start"])]),
    ("MM_ENV_END", &[("mm_struct", &["env_end"])]),
    ("BPRM_FILE", &[("linux_binprm", &["file"])]),
    ("BPRM_FILENAME", &[("linux_binprm", &["filename"])]),
    ("BPRM_INTERP", &[("linux_binprm", &["interp"])]),
    ("SIGNAL_LIVE", &[("signal_struct", &["live"])]),
    ("PID_LEVEL", &[("pid", &["level"])]),
    ("PID_NUMBERS", &[("pid", &["numbers"])]),
    ("REQUEST_OPERATION", &[("io_kiocb", &["opcode"])]),
    ("REQUEST_FLAGS", &[("io_kiocb", &["flags"])]),
    (
        "REQUEST_DATA",
        &[("io_kiocb", &["cqe"]), ("io_cqe", &["user_data"])],
    ),
];

/// How the registers of a call lie, which is the architecture's.
#[cfg(target_arch = "x86_64")]
const REGISTERS: &[(&str, Path)] = &[
    ("REGISTER_0", &[("pt_regs", &["di"])]),
    ("REGISTER_1", &[("pt_regs", &["si"])]),
    ("REGISTER_2", &[("pt_regs", &["dx"])]),
    ("REGISTER_3", &[("pt_regs", &["r10"])]),
    ("REGISTER_4", &[("pt_regs", &["r8"])]),
    ("REGISTER_5", &[("pt_regs", &["r9"])]),
    ("REGISTER_CALL", &[("pt_regs", &["orig_ax"])]),
    (
        "TASK_STATUS",
        &[
            ("task_struct", &["thread_info"]),
            ("thread_info", &["status"]),
        ],
    ),
];

/// TS_COMPAT (arch/x86/include/asm/thread_info.h).
#[cfg(target_arch = "x86_64")]
const FOREIGN_BITS: u64 = 2;

/// The first argument's register holds the result when the call returns (arch/arm64/include/asm/ptrace.h).
#[cfg(target_arch = "aarch64")]
const REGISTERS: &[(&str, Path)] = &[
    ("REGISTER_0", &[("pt_regs", &["orig_x0"])]),
    ("REGISTER_CALL", &[("pt_regs", &["syscallno"])]),
];

#[cfg(target_arch = "aarch64")]
const FOREIGN_BITS: u64 = 0;

pub fn all(kernel: &Kernel) -> Result<Vec<(&'static str, u64)>, KernelError> {
    let mut all = Vec::new();
    for (name, path) in FIELDS.iter().chain(REGISTERS) {
        let mut offset = 0;
        for (structure, names) in *path {
            offset += kernel.offset(structure, names)?;
        }
        all.push((*name, offset));
    }
    #[cfg(target_arch = "aarch64")]
    {
        let first = kernel.offset("pt_regs", &["regs"])?;
        for (n, name) in [
            (1, "REGISTER_1"),
            (2, "REGISTER_2"),
            (3, "REGISTER_3"),
            (4, "REGISTER_4"),
            (5, "REGISTER_5"),
        ] {
            all.push((name, first + 8 * n));
        }
        all.push(("TASK_STATUS", 0));
    }
    all.push(("FOREIGN_BITS", FOREIGN_BITS));
    Ok(all)
}
