//! What strace(1) wrote, taken apart.

use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct Line {
    pub call: String,
    pub arguments: Vec<String>,
    /// None where the thread ended in the call.
    pub result: Option<String>,
    /// As strace wrote it, for messages.
    pub text: String,
}

/// By thread, in the order in which the threads appear.
pub fn threads(log: &str) -> Vec<(u32, Vec<Line>)> {
    let mut order: Vec<u32> = Vec::new();
    let mut lines: BTreeMap<u32, Vec<Line>> = BTreeMap::new();
    let mut begun: BTreeMap<u32, String> = BTreeMap::new();
    for line in log.lines() {
        let (thread, text) = line.split_once(' ').expect("a thread's line");
        let thread = thread.parse().expect("a thread's number");
        let text = text.trim_start();
        if !order.contains(&thread) {
            order.push(thread);
        }
        if text.starts_with("---") {
            continue;
        }
        if text.starts_with("+++") {
            // it ended in the call
            if let Some(begun) = begun.remove(&thread) {
                let whole = format!("{begun}) = ?");
                lines.entry(thread).or_default().push(call(&whole));
            }
            continue;
        }
        if let Some(begin) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, begin.into());
            continue;
        }
        let whole = match text.strip_prefix("<... ") {
            Some(rest) => {
                let (_, rest) = rest.split_once(" resumed>").expect("resumed");
                begun.remove(&thread).expect("a call that began") + rest
            }
            None => text.into(),
        };
        lines.entry(thread).or_default().push(call(&whole));
    }
    let of = |thread| (thread, lines.remove(&thread).unwrap_or_default());
    order.into_iter().map(of).collect()
}

fn call(text: &str) -> Line {
    let (name, rest) = text.split_once('(').expect("a call");
    let end = close(rest.as_bytes());
    let result = rest[end + 1..].trim_start().strip_prefix("= ");
    let result = result.unwrap_or_else(|| panic!("no result: {text}"));
    Line {
        call: name.into(),
        arguments: split(&rest[..end]),
        result: (result != "?").then(|| result.into()),
        text: text.into(),
    }
}

/// Where quotes end, what brackets hold, and `<…>` behind a descriptor.
struct Depth {
    quoted: bool,
    escaped: bool,
    named: bool,
    open: usize,
    before: u8,
}

impl Depth {
    const NEW: Self = Self {
        quoted: false,
        escaped: false,
        named: false,
        open: 0,
        before: 0,
    };

    /// Whether `byte` stands outside of everything, and is no opening itself.
    fn step(&mut self, byte: u8) -> bool {
        let before = std::mem::replace(&mut self.before, byte);
        if self.quoted {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.quoted = false;
            }
            return false;
        }
        if self.named {
            self.named = byte != b'>';
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'<' if before.is_ascii_digit() || before == b'D' => self.named = true,
            b'(' | b'[' | b'{' => self.open += 1,
            b')' | b']' | b'}' if self.open > 0 => self.open -= 1,
            _ => return self.open == 0,
        }
        false
    }
}

fn close(text: &[u8]) -> usize {
    let mut depth = Depth::NEW;
    let end = text.iter().position(|b| depth.step(*b) && *b == b')');
    end.unwrap_or_else(|| panic!("no end: {}", text.escape_ascii()))
}

/// At commas that stand outside of everything.
pub fn split(text: &str) -> Vec<String> {
    let mut depth = Depth::NEW;
    let mut all = vec![String::new()];
    for (at, byte) in text.bytes().enumerate() {
        // between "1<" and "<10" of a shift nothing is named
        if byte == b'<' && text.as_bytes().get(at + 1) == Some(&b'<') {
            depth.before = b'<';
            all.last_mut().expect("one").push('<');
            continue;
        }
        if depth.step(byte) && byte == b',' {
            all.push(String::new());
        } else {
            // strace escapes what is not ASCII
            all.last_mut().expect("one").push(char::from(byte));
        }
    }
    let all: Vec<String> = all.iter().map(|a| plain(a.trim())).collect();
    if all == [""] { Vec::new() } else { all }
}

/// Without comments.
fn plain(text: &str) -> String {
    if text.starts_with('"') {
        return text.into();
    }
    match text.split_once(" /*") {
        Some((before, after)) => {
            let rest = after.split_once("*/").map_or("", |(_, rest)| rest);
            plain(&format!("{before}{rest}"))
        }
        None => text.into(),
    }
}

/// `KEY=VALUE` of a structure.
pub fn fields(text: &str) -> BTreeMap<String, String> {
    let within = text.strip_prefix('{').unwrap_or(text);
    let all = split(within.strip_suffix('}').unwrap_or(within));
    let pairs = all.iter().filter_map(|f| f.split_once('='));
    pairs.map(|(k, v)| (k.into(), v.into())).collect()
}

/// A descriptor or AT_FDCWD, and the path that it stands for.
pub fn named(text: &str) -> (&str, Option<Vec<u8>>) {
    let Some((number, rest)) = text.split_once('<') else {
        return (text, None);
    };
    let path = rest.rsplit_once('>').map_or(rest, |(path, _)| path);
    (number, Some(unescaped(path)))
}

/// A C string's bytes, without its quotes.
pub fn string(text: &str) -> Option<Vec<u8>> {
    let within = text.strip_prefix('"')?.strip_suffix('"')?;
    Some(unescaped(within))
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let next = rest.next().expect("something escaped");
        out.push(match next {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'0'..=b'7' => {
                let mut value = u32::from(next - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = rest.peek().copied() else {
                        break;
                    };
                    value = value * 8 + u32::from(digit - b'0');
                    rest.next();
                }
                u8::try_from(value).expect("a byte")
            }
            other => other,
        });
    }
    out
}

/// Numbers as strace writes them: decimal, hexadecimal, octal, `8192*1024`.
pub fn number(text: &str) -> Option<i128> {
    if let Some((a, b)) = text.split_once('*') {
        return Some(number(a)? * number(b)?);
    }
    if let Some(rest) = text.strip_prefix('-') {
        return Some(-number(rest)?);
    }
    if let Some(rest) = text.strip_prefix("0x") {
        return i128::from_str_radix(rest, 16).ok();
    }
    if text.len() > 1 && text.starts_with('0') {
        return i128::from_str_radix(text, 8).ok();
    }
    match text {
        "NULL" => Some(0),
        "RLIM64_INFINITY" => Some(u64::MAX.into()),
        _ => text.parse().ok(),
    }
}
