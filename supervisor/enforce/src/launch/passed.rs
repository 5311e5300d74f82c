//! The plan on its way to the stage: a sealed memfd, so that what the stage reads is what was
//! written. The filter stands before the text as the bytes that it is: as text it is most of it.

use crate::plan::Plan;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

/// Of the filter's length, in front of all.
const HEAD: usize = 4;

pub fn pass(plan: &Plan) -> std::io::Result<OwnedFd> {
    let text = Plan {
        filter: Vec::new(),
        ..plan.clone()
    };
    let length = u32::try_from(plan.filter.len()).map_err(std::io::Error::other)?;
    let mut all = length.to_ne_bytes().to_vec();
    all.extend_from_slice(&plan.filter);
    serde_json::to_writer(&mut all, &text)?;
    let memory = memfd_create(
        "stockade-plan",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let mut file = File::from(memory);
    file.write_all(&all)?;
    file.rewind()?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    Ok(file.into())
}

/// EBADMSG where it is no such plan.
pub fn passed(plan: OwnedFd) -> Result<Plan, Errno> {
    let mut all = Vec::new();
    let read = File::from(plan).read_to_end(&mut all);
    read.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    decode(&all).ok_or(Errno::EBADMSG)
}

fn decode(all: &[u8]) -> Option<Plan> {
    let (length, rest) = all.split_first_chunk::<HEAD>()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    let (filter, text) = rest.split_at_checked(length)?;
    let plan: Plan = serde_json::from_slice(text).ok()?;
    Some(Plan {
        filter: filter.to_vec(),
        ..plan
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Level, Sockets, Terminal};

    fn plan(filter: &[u8]) -> Plan {
        Plan {
            level: Level::Landlock,
            view: Vec::new(),
            private_home: None,
            own_network: false,
            landlock: None,
            filter: filter.to_vec(),
            sockets: Sockets::Kernel,
            limits: Vec::new(),
            wall: Some(1),
            memory: None,
            processes: None,
            group: None,
            terminal: Terminal::None,
            environment: vec![("A".into(), "\"{".into())],
            dropped: Vec::new(),
            directory: "/".into(),
            executable: "/bin/true".into(),
            arguments: vec!["true".into()],
            held: Vec::new(),
            partial: Vec::new(),
            unmet: Vec::new(),
            not_reachable: Vec::new(),
            groups: Vec::new(),
        }
    }

    #[test]
    fn a_plan_arrives_as_it_was_and_can_not_be_changed_on_the_way() {
        for filter in [&b""[..], b"{\0\xff\"", &[7; 1 << 15]] {
            let memory = pass(&plan(filter)).unwrap();
            let mut file = File::from(memory.try_clone().unwrap());
            let denied = file.write_all(b"x").unwrap_err();
            assert_eq!(denied.raw_os_error(), Some(libc::EPERM));
            assert_eq!(passed(memory), Ok(plan(filter)));
        }
    }

    #[test]
    fn what_is_no_plan_is_none() {
        let whole = {
            let mut all = Vec::new();
            let memory = pass(&plan(b"12345678")).unwrap();
            File::from(memory).read_to_end(&mut all).unwrap();
            all
        };
        let read = |bytes: &[u8]| {
            let memory = memfd_create("stockade-test", MFdFlags::MFD_CLOEXEC).unwrap();
            let mut file = File::from(memory);
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            passed(file.into())
        };
        assert!(read(&whole).is_ok());
        for cut in [0, 3, 4, 11, 12, whole.len() - 1] {
            assert_eq!(read(&whole[..cut]), Err(Errno::EBADMSG), "{cut}");
        }
        let long = [&u32::MAX.to_ne_bytes()[..], &whole[4..]].concat();
        assert_eq!(read(&long), Err(Errno::EBADMSG));
        assert_eq!(read(&[&whole[..], b"}"].concat()), Err(Errno::EBADMSG));
    }
}
