//! The tables' place in the document: what stands between the marks is the bench's own.

const PATH: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- measured -->\n";
const END: &str = "<!-- end of measured -->\n";

pub fn write(tables: &str) -> Result<(), String> {
    let path = crate::top().join(PATH);
    let failed = |e: std::io::Error| format!("{PATH}: {e}");
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    std::fs::write(&path, replaced(&text, tables)?).map_err(failed)
}

fn replaced(text: &str, tables: &str) -> Result<String, String> {
    let parts = || {
        let (before, rest) = text.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    };
    let (before, after) = parts().ok_or_else(|| {
        format!("{PATH}: the marks between which the tables go are not there: {BEGIN}{END}")
    })?;
    Ok(format!("{before}{BEGIN}{tables}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let old = format!("# a\n{BEGIN}old\n{END}z\n");
        let new = replaced(&old, "new\n").unwrap();
        assert_eq!(new, format!("# a\n{BEGIN}new\n{END}z\n"));
        assert!(replaced("# a\n", "new\n").is_err());
        assert!(replaced(&format!("{END}{BEGIN}"), "new\n").is_err());
    }
}
