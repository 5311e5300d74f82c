//! What the stage says: fixed size, numbers only, so that nothing is allocated or rendered there.

pub const SIZE: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Plan,
    Group,
    Open,
    Namespaces,
    Ids,
    View,
    Loopback,
    Terminal,
    Directory,
    Limits,
    Capabilities,
    NoNewPrivileges,
    Landlock,
    Descriptors,
    Filter,
    Listener,
    Exec,
    Fork,
    HandOut,
    Wait,
}

const STEPS: &[(Step, &str)] = &[
    (Step::Plan, "reading the plan"),
    (Step::Group, "joining the cgroup"),
    (Step::Open, "opening"),
    (Step::Namespaces, "making the namespaces"),
    (Step::Ids, "mapping the user"),
    (Step::View, "mounting"),
    (Step::Loopback, "setting the loopback device up"),
    (Step::Terminal, "taking the terminal"),
    (Step::Directory, "changing to the directory"),
    (Step::Limits, "setting the limits"),
    (Step::Capabilities, "dropping capabilities"),
    (Step::NoNewPrivileges, "setting no_new_privs"),
    (Step::Landlock, "restricting with Landlock"),
    (Step::Descriptors, "closing descriptors"),
    (Step::Filter, "installing the system call filter"),
    (
        Step::Listener,
        "installing the filter that the supervisor listens to",
    ),
    (Step::Exec, "executing the command"),
    (Step::Fork, "starting the agent's process"),
    (Step::HandOut, "passing descriptors to the supervisor"),
    (Step::Wait, "waiting for the agent"),
];

impl Step {
    pub fn text(self) -> &'static str {
        STEPS
            .iter()
            .find(|(s, _)| *s == self)
            .map_or("", |(_, t)| t)
    }

    fn number(self) -> u32 {
        STEPS
            .iter()
            .position(|(s, _)| *s == self)
            .map_or(u32::MAX, |n| n as u32)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Every step is done but the exec, whose failure would follow. With it come the descriptors
    /// of [`super::Descriptors`], those of the mounts, of the private home and of the listener where
    /// it says so.
    Started {
        mounts: bool,
        home: bool,
        sockets: bool,
    },
    Failed {
        step: Step,
        item: u32,
        errno: i32,
    },
    /// Exit code, or minus the signal.
    Exited(i32),
    /// The agent was stopped by this signal.
    Stopped(i32),
}

impl Message {
    pub fn encode(self) -> [u8; SIZE] {
        let (kind, a, b, c): (u32, u32, u32, i32) = match self {
            Self::Started {
                mounts,
                home,
                sockets,
            } => (1, u32::from(home), u32::from(mounts), i32::from(sockets)),
            Self::Failed { step, item, errno } => (2, step.number(), item, errno),
            Self::Exited(status) => (3, 0, 0, status),
            Self::Stopped(signal) => (4, 0, 0, signal),
        };
        let mut out = [0; SIZE];
        for (chunk, word) in out.chunks_exact_mut(4).zip([
            kind.to_ne_bytes(),
            a.to_ne_bytes(),
            b.to_ne_bytes(),
            c.to_ne_bytes(),
        ]) {
            chunk.copy_from_slice(&word);
        }
        out
    }

    pub fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let word = |n: usize| [bytes[n], bytes[n + 1], bytes[n + 2], bytes[n + 3]];
        match u32::from_ne_bytes(word(0)) {
            1 => Some(Self::Started {
                home: u32::from_ne_bytes(word(4)) != 0,
                mounts: u32::from_ne_bytes(word(8)) != 0,
                sockets: i32::from_ne_bytes(word(12)) != 0,
            }),
            2 => {
                let (step, _) = STEPS.get(u32::from_ne_bytes(word(4)) as usize)?;
                Some(Self::Failed {
                    step: *step,
                    item: u32::from_ne_bytes(word(8)),
                    errno: i32::from_ne_bytes(word(12)),
                })
            }
            3 => Some(Self::Exited(i32::from_ne_bytes(word(12)))),
            4 => Some(Self::Stopped(i32::from_ne_bytes(word(12)))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_and_garbage_does_not() {
        for (step, text) in STEPS {
            assert!(!text.is_empty());
            let message = Message::Failed {
                step: *step,
                item: 7,
                errno: 13,
            };
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(
            Message::decode(&Message::Exited(-9).encode()),
            Some(Message::Exited(-9))
        );
        let started = Message::Started {
            mounts: false,
            home: true,
            sockets: true,
        };
        assert_eq!(Message::decode(&started.encode()), Some(started));
        assert_eq!(Message::decode(&[0xff; SIZE]), None);
    }
}
