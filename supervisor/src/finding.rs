//! What is said at the end of a session.

/// One line of the summary; what comes from outside is escaped when it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub text: String,
    /// It can act outside, later: shown in red.
    pub grave: bool,
}

impl Finding {
    pub fn note(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            grave: false,
        }
    }

    pub fn grave(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            grave: true,
        }
    }
}
