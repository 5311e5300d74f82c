//! Maps, offsets and helpers.

use aya_ebpf::btf_maps::{Array, HashMap, RingBuf};
use aya_ebpf::helpers::generated as helper;
use aya_ebpf::macros::btf_map;
use core::ffi::c_void;
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::ptr;
use stockade_abi::{CALLS, Count, CountKey, Filter, Shape, Tally, Task, Work};

/// aya has no task storage: the shape of its own BTF map structs.
#[repr(C)]
pub struct TaskStorage<T> {
    r#type: *const [i32; 29],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; 1],
}

// SAFETY: a definition that the loader reads; nothing is behind its pointers.
unsafe impl<T> Sync for TaskStorage<T> {}

const CREATE: u64 = 1;

impl<T> TaskStorage<T> {
    const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }

    #[inline(always)]
    fn storage(&self, task: *const u8, flags: u64) -> Option<&'static mut T> {
        // SAFETY: the verifier lets a task's storage be used where it is not NULL; only its own task writes to it.
        unsafe {
            let map = ptr::from_ref(self) as *mut c_void;
            let value = helper::bpf_task_storage_get(map, task as *mut _, ptr::null_mut(), flags);
            (value as *mut T).as_mut()
        }
    }

    #[inline(always)]
    pub fn get(&self, task: *const u8) -> Option<&'static mut T> {
        self.storage(task, 0)
    }

    /// All zero where it is new.
    #[inline(always)]
    pub fn create(&self, task: *const u8) -> Option<&'static mut T> {
        self.storage(task, CREATE)
    }
}

#[btf_map]
pub static TASKS: TaskStorage<Task> = TaskStorage::new();
#[btf_map]
pub static WORK: TaskStorage<Work> = TaskStorage::new();
#[btf_map]
pub static FILTER: Array<Filter, 1> = Array::new();
#[btf_map]
pub static TALLY: Array<Tally, 1> = Array::new();
#[btf_map]
pub static SHAPES: Array<Shape, { CALLS }> = Array::new();
#[btf_map]
pub static COUNTS: HashMap<CountKey, Count, 16384> = HashMap::new();
/// Its size is set by the loader.
#[btf_map]
pub static RECORDS: RingBuf<[u8; 1], 4096> = RingBuf::new();

macro_rules! offsets {
    ($($name:ident)*) => { $(#[unsafe(no_mangle)] pub static $name: u64 = 0;)* };
}

// set by the loader from the running kernel's BTF (supervisor/bpf/src/offsets.rs has the fields)
offsets!(REGISTER_0 REGISTER_1 REGISTER_2 REGISTER_3 REGISTER_4 REGISTER_5 REGISTER_CALL);
offsets!(TASK_LEADER TASK_FS TASK_FILES TASK_PID TASK_TGID TASK_THREAD_PID TASK_EXIT_CODE TASK_SIGNAL TASK_STATUS TASK_MM);
offsets!(FS_ROOT FS_PWD PATH_MNT PATH_DENTRY DENTRY_PARENT DENTRY_NAME DENTRY_HASHED MNT_ROOT MOUNT_MNT MOUNT_PARENT MOUNT_POINT);
offsets!(FILES_TABLE TABLE_FILES TABLE_SIZE FILE_PATH FILE_INODE INODE_NUMBER INODE_SB SB_DEVICE);
offsets!(MM_ARG_START MM_ARG_END MM_ENV_START MM_ENV_END BPRM_FILE BPRM_FILENAME BPRM_INTERP SIGNAL_LIVE PID_LEVEL PID_NUMBERS);
offsets!(REQUEST_OPERATION REQUEST_FLAGS REQUEST_DATA);
/// The number of open(2), whose flags come one argument before those of openat(2).
#[unsafe(no_mangle)]
pub static OPEN_CALL: u64 = 0;
/// Fill level in bytes at which the reader is woken; it looks by itself besides.
#[unsafe(no_mangle)]
pub static WAKE_AT: u64 = 0;
/// The bits of thread_info.status that say that a call is of the other table; 0 where there is none.
#[unsafe(no_mangle)]
pub static FOREIGN_BITS: u64 = 0;
/// Whether a task without a label takes its thread group leader's: where running processes are traced.
#[unsafe(no_mangle)]
pub static ASK_LEADER: u64 = 0;

#[inline(always)]
pub fn offset(of: &'static u64) -> usize {
    // SAFETY: a static; volatile, because it is set after this was compiled.
    unsafe { ptr::read_volatile(of) as usize }
}

/// Of kernel memory; `zero` where it can't be read.
#[inline(always)]
pub fn probe<T: Copy>(at: *const u8, zero: T) -> T {
    let mut value = zero;
    // SAFETY: writes a T to a T; a bad source is an error and leaves zeros.
    unsafe {
        helper::bpf_probe_read_kernel(
            ptr::from_mut(&mut value).cast(),
            size_of::<T>() as u32,
            at.cast(),
        )
    };
    value
}

#[inline(always)]
pub fn pointer(base: *const u8, of: &'static u64) -> *const u8 {
    probe(base.wrapping_add(offset(of)), ptr::null())
}

/// A typed load: the offset is a constant to the verifier, so the pointer keeps its type.
///
/// # Safety
/// `base` is a pointer that the verifier knows, and the field a T.
#[inline(always)]
pub unsafe fn field<T: Copy>(base: *const u8, of: &'static u64) -> T {
    // SAFETY: the caller's word, and the verifier's.
    unsafe { ptr::read_volatile(base.byte_add(offset(of)) as *const T) }
}

#[inline(always)]
pub fn add(to: &mut u64, what: u64) {
    // SAFETY: a u64 in a map.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(to, what) };
}

/// What was there before. Of a relaxed addition LLVM gives back the operand: it knows no such instruction that fetches.
#[inline(always)]
pub fn fetch_add(to: &mut u64, what: u64) -> u64 {
    // SAFETY: a u64 in a map.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(to, what) }
}

#[inline(always)]
pub fn add32(to: &mut u32, what: u32) {
    // SAFETY: a u32 in a map.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(to, what) };
}

#[inline(always)]
pub fn current() -> *const u8 {
    // SAFETY: the kernel's own pointer.
    unsafe { helper::bpf_get_current_task_btf() as *const u8 }
}

#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing.
    unsafe { helper::bpf_ktime_get_ns() }
}

/// Process and thread.
#[inline(always)]
pub fn ids() -> (u32, u32) {
    // SAFETY: takes nothing.
    let both = unsafe { helper::bpf_get_current_pid_tgid() };
    ((both >> 32) as u32, both as u32)
}

#[inline(always)]
pub fn filter() -> Option<&'static Filter> {
    FILTER.get(0).map(|f| {
        // SAFETY: an array's only element is there as long as the program.
        unsafe { &*ptr::from_ref(f) }
    })
}

#[inline(always)]
pub fn tally() -> Option<&'static mut Tally> {
    let tally = TALLY.get_ptr_mut(0)?;
    // SAFETY: an array's only element; each field is changed by atomic instructions alone.
    unsafe { tally.as_mut() }
}

/// N is a power of two. The compiler would leave out the mask where it knows better than the verifier.
#[inline(always)]
pub fn has<const N: usize>(set: &[u64; N], number: u32) -> bool {
    if number as usize >= N * 64 {
        return false;
    }
    let at = core::hint::black_box(number as usize / 64) & (N - 1);
    // SAFETY: less than N.
    let word = unsafe { *set.get_unchecked(at) };
    word & (1 << (number % 64)) != 0
}

/// The label of a task, or of its leader where that is asked for.
#[inline(always)]
pub fn label() -> Option<&'static mut Task> {
    let task = current();
    if let Some(own) = TASKS.get(task) {
        return Some(own);
    }
    if offset(&ASK_LEADER) == 0 {
        return None;
    }
    // SAFETY: a field of the current task.
    let leader: *const u8 = unsafe { field(task, &TASK_LEADER) };
    let (action, flags) = {
        let leader = TASKS.get(leader)?;
        (leader.action, leader.flags & stockade_abi::task::AGENT)
    };
    let own = TASKS.create(task)?;
    own.action = action;
    own.flags = flags;
    Some(own)
}

/// How many bytes are in the ring and not read yet.
const WAITING: u64 = 0;
const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;

/// One wake-up per record costs 7.5 µs: the reader is woken where the fill level is passed.
#[inline(always)]
pub fn wake_up(size: u32) -> u64 {
    let at = offset(&WAKE_AT) as u64;
    // SAFETY: the map of records.
    let waiting = unsafe { helper::bpf_ringbuf_query(ring(), WAITING) };
    if waiting >= at && waiting < at + 4 * size as u64 {
        FORCE_WAKEUP
    } else {
        NO_WAKEUP
    }
}

#[inline(always)]
fn ring() -> *mut c_void {
    ptr::from_ref(&RECORDS) as *mut c_void
}

#[inline(always)]
pub fn kept(is: bool) {
    if let Some(tally) = tally() {
        add(if is { &mut tally.kept } else { &mut tally.lost }, 1);
    }
}

/// `size` bytes of `from`, at most as many as the verifier knows to be there.
#[inline(always)]
pub fn output(from: *const u8, size: u32) {
    // SAFETY: the verifier knows that so much is there.
    let result = unsafe {
        helper::bpf_ringbuf_output(ring(), from as *mut c_void, size as u64, wake_up(size))
    };
    kept(result == 0);
}

/// Room for one record, filled by `fill`; counted as lost where there is none.
#[inline(always)]
pub fn reserved<T>(fill: impl FnOnce(&mut T)) {
    // SAFETY: reserved memory is written by `fill` and submitted once.
    unsafe {
        let room = helper::bpf_ringbuf_reserve(ring(), size_of::<T>() as u64, 0) as *mut T;
        let Some(record) = room.as_mut() else {
            kept(false);
            return;
        };
        fill(record);
        helper::bpf_ringbuf_submit(room.cast(), wake_up(size_of::<T>() as u32));
    }
    kept(true);
}
