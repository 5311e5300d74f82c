//! One mistake in a policy, with its place.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The file as the user named it.
    pub origin: String,
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(origin: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            origin: origin.into(),
            span,
            message: message.into(),
            help: None,
        }
    }

    pub fn warning(origin: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(origin, span, message)
        }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Line and column, both from 1; the column counts characters.
    pub fn place(&self, text: &str) -> (usize, usize) {
        Lines::new(text).place(self.span.start)
    }

    pub fn render(&self, text: &str, colour: bool) -> String {
        self.render_in(&Lines::new(text), colour)
    }

    /// The mistake with the line it stands in, the token underlined. Only that line is shown:
    /// the text may come from a file that its reader should not see whole.
    pub fn render_in(&self, lines: &Lines<'_>, colour: bool) -> String {
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let (message, origin) = (escape(&self.message), escape(&self.origin));
        let help = self.help.as_deref().map(escape);
        let title = level.primary_title(message.as_str());
        let (number, column) = lines.place(self.span.start);
        let at = lines.line(number);
        let line = &lines.text[at.clone()];
        let main = if !lines.shown || line.len() > LONGEST_SHOWN {
            let place = Origin::path(origin.as_str())
                .line(number)
                .char_column(column);
            title.element(place)
        } else {
            let within = |n: usize| floor(line, n.saturating_sub(at.start));
            let (start, end) = (within(self.span.start), within(self.span.end));
            let end = end.max(start);
            // a character for a character, so that the columns stay
            let shown = [&line[..start], &line[start..end], &line[end..]]
                .map(|part| part.replace(hidden_in_line, "\u{fffd}"));
            let token = shown[0].len()..shown[0].len() + shown[1].len();
            let snippet = Snippet::source(shown.concat())
                .line_start(number)
                .path(origin.as_str())
                .annotation(AnnotationKind::Primary.span(token));
            title.element(snippet)
        };
        let mut groups = vec![main];
        if let Some(help) = &help {
            groups.push(Group::with_title(
                Level::HELP.secondary_title(help.as_str()),
            ));
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&groups).to_string()
    }
}

/// Of longer lines the place is said; nobody reads them.
const LONGEST_SHOWN: usize = 4096;

/// A text with its lines found, so that the place of each of many mistakes is cheap.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    shown: bool,
}

impl<'t> Lines<'t> {
    pub fn new(text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(n, _)| n + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self {
            text,
            starts,
            shown: true,
        }
    }

    /// Of what may be no policy at all nothing but the place is shown.
    #[must_use]
    pub fn place_only(self) -> Self {
        Self {
            shown: false,
            ..self
        }
    }

    /// Line and column, both from 1; the column counts characters.
    fn place(&self, at: usize) -> (usize, usize) {
        let at = floor(self.text, at);
        let number = self.number(at);
        let before = &self.text[self.starts[number - 1]..at];
        (number, before.chars().count() + 1)
    }

    /// The line that holds the byte.
    pub(crate) fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|s| *s <= at)
    }

    /// Without its end; the first has number 1.
    fn line(&self, number: usize) -> Range<usize> {
        let start = self.starts[number - 1];
        let end = self.starts.get(number).map_or(self.text.len(), |n| n - 1);
        start..end
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// What shows nothing of itself, or more than itself: control characters, those that turn the
/// direction of text or have no width, blanks that are no space. What joins the letter before it
/// is part of a script.
fn hidden(c: char) -> bool {
    let after_a_letter: String = ['a', c].iter().collect();
    let plain = c == ' ' || c.is_ascii_graphic();
    !plain && after_a_letter.escape_debug().count() > 2
}

/// Tabs and the end of a line are the renderer's.
fn hidden_in_line(c: char) -> bool {
    hidden(c) && !matches!(c, '\t' | '\r')
}

/// For a terminal: what it would not show, or would obey, as escapes.
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same, cut where it is longer than anybody reads.
fn escape(text: &str) -> String {
    const LONGEST: usize = 400;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => escaped(&text[..at]) + "…",
        None => escaped(text),
    }
}

/// The nearest of `known` when it is near enough to be a slip.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // a longer text is no slip of the pen, and comparing costs the product of both lengths
    const LONGEST: usize = 200;
    let slips = |k: &str| k.len().max(3) / 3;
    let word = &*word.to_lowercase();
    known
        .into_iter()
        .filter(|k| !k.is_empty() && word.len() <= LONGEST)
        .filter(|k| k.len().abs_diff(word.len()) <= slips(k))
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(d, k)| *d <= slips(k))
        .min()
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_counts_characters_and_the_line_alone_is_shown() {
        let text = "first\nsécond 'bad' \u{1b}[31m\nthird";
        let at = text.find("'bad'").unwrap();
        let found = Diagnostic::error("a\u{1b}b.toml", at..at + 5, "m\u{202e}").help("h\u{7}");
        assert_eq!(found.place(text), (2, 8));
        let shown = found.render(text, false);
        assert!(shown.contains("error: m\\u{202e}"), "{shown}");
        assert!(shown.contains("a\\u{1b}b.toml:2:8"), "{shown}");
        assert!(shown.contains("sécond") && shown.contains("^^^^^") && shown.contains("h\\u{7}"));
        assert!(!shown.contains("first") && !shown.contains("third"));
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{7}']));
    }

    #[test]
    fn nothing_is_shown_as_what_it_is_not() {
        for c in [
            '\0',
            '\u{7}',
            '\n',
            '\u{7f}',
            '\u{9b}',
            '\u{a0}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{3000}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            let text = format!("a{c}b");
            let shown = escaped(&text);
            assert!(!shown.contains(c) && shown.starts_with("a\\"), "{shown:?}");
            let at = text.len() + 1..text.len() + 4;
            let line = format!("{text} bad {text}");
            let shown = Diagnostic::error(&text, at, &text)
                .help(&text)
                .render(&line, false);
            assert!(c == '\n' || !shown.contains(c), "{shown:?}");
            assert!(shown.contains("^^^") && shown.contains(" bad "), "{shown}");
        }
        // letters of any script, what joins them, and quotes stay
        for text in [
            "it's \"a\\b\"",
            "ünïcode",
            "e\u{301}",
            "สวัสดี",
            "नमस्ते",
            "日本語",
            "🙂",
        ] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn of_what_may_be_a_secret_the_place_is_said() {
        let text = "first\nsecond: secret\n";
        let found = Diagnostic::error("p", 12..13, "m");
        let shown = found.render_in(&Lines::new(text).place_only(), false);
        assert!(shown.contains("p:2:7") && !shown.contains("sec"), "{shown}");
        assert!(found.render(text, false).contains("second: secret"));
    }

    #[test]
    fn of_a_long_line_the_place_is_said() {
        let text = "x\n".to_owned() + &"é".repeat(5000) + "bad";
        let at = text.find("bad").unwrap();
        let shown = Diagnostic::error("p", at..at + 3, "é".repeat(5000)).render(&text, false);
        assert!(shown.contains("p:2:5001") && shown.len() < 2000, "{shown}");
    }

    #[test]
    fn a_span_outside_the_text_is_moved_into_it() {
        for text in ["", "\n", "é"] {
            for span in [0..0, 1..1, 1..9, 7..9] {
                let shown = Diagnostic::error("p", span, "m").render(text, false);
                assert!(shown.contains("error: m"), "{shown}");
            }
        }
    }

    #[test]
    fn only_a_slip_is_near() {
        assert_eq!(nearest("raed", ["read", "write"]), Some("read"));
        assert_eq!(nearest("a", ["", "read"]), None);
        assert_eq!(nearest(&"a".repeat(9000), ["read"]), None);
    }
}
