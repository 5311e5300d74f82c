//! JSON Schema of the format, from the same rows as the parser.

use crate::preset::PRESETS;
use crate::rule::{self, Key, PARTIALS, Shape};
use serde_json::{Map, Value, json};

pub fn json_schema() -> Value {
    let mut top = Map::new();
    for key in rule::keys() {
        let value = describe(key);
        if key.table.is_empty() {
            top.insert(key.name.into(), value);
        } else {
            let table = top.entry(key.table).or_insert_with(
                || json!({ "type": "object", "additionalProperties": false, "properties": {} }),
            );
            table["properties"][key.name] = value;
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stockade policy",
        "type": "object",
        "additionalProperties": false,
        "required": ["version"],
        "properties": top,
    })
}

/// What the parser says of a path before it knows the variables.
fn path(start: &str) -> Value {
    let not = |pattern: &str| json!({ "not": { "pattern": pattern } });
    json!({ "type": "string", "allOf": [
        { "pattern": start },
        { "pattern": r"^[^\x00]*$" },
        // `..`
        not(r"(^!?|/)\.\.(/|$)"),
        // `**` within a component
        not(r"[^/!]\*\*|[\s\S]!\*\*|\*\*[^/]"),
        not(r"\$\{(?!(workspace|home|tmp|config|cache|runtime|env:[^}]+)\})"),
    ] })
}

/// With a root, `!` allowed.
const ROOTED: &str = r"^!?(/|~(/|$)|\$\{)";
/// Names below the workspace besides.
const NAMED: &str = r"^(!(~(/|$)|\$\{|[^~$])|~(/|$)|\$\{|[^~$!])";
/// In a table `!` has no meaning.
const NAMED_IN_TABLE: &str = r"^(~(/|$)|\$\{|[^~$!])";

const PORT: &str =
    "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";

fn peer() -> String {
    const LABEL: &str = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
    const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    const V6: &str = "[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/([1-9]?[0-9]|1[01][0-9]|12[0-8]))?";
    let ports = format!("(:{PORT}(-{PORT})?)?");
    let name = format!(r"(\*\.)?({LABEL}\.)*(?![0-9]+(:|$)){LABEL}{ports}");
    let v4 = format!(r"{OCTET}(\.{OCTET}){{3}}(/([12]?[0-9]|3[0-2]))?{ports}");
    format!(r"^!?((tcp|udp)://)?({name}|{v4}|{V6}|\[{V6}\]{ports})$")
}

fn describe(key: &Key) -> Value {
    let list = |items: Value| json!({ "type": "array", "minItems": 1, "items": items });
    let texts = |pattern: &str| list(json!({ "type": "string", "pattern": pattern }));
    let mut value = match key.shape {
        Shape::Version => json!({ "const": 1 }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Names => {
            let name = json!({ "enum": PRESETS.iter().map(|p| p.name).collect::<Vec<_>>() });
            json!({ "anyOf": [name, list(name.clone())] })
        }
        Shape::Paths => list(path(ROOTED)),
        Shape::Network => texts(&peer()),
        Shape::Variables => texts(r"^!?[^=\x00\s]+$"),
        Shape::Protect => list(json!({ "anyOf": [path(NAMED), {
            "type": "object", "additionalProperties": false, "required": ["path"],
            "properties": {
                "path": path(NAMED_IN_TABLE),
                "mode": { "enum": ["deny", "report"] },
                "because": { "type": "string" },
            },
        }] })),
        Shape::Ports => texts(&format!("^!?{PORT}(:{PORT})?$")),
        Shape::SystemCalls => texts("^!?[a-z_][a-z0-9_]{0,63}$"),
        Shape::Assignments => json!({
            "type": "object",
            "propertyNames": { "pattern": r"^[^=\x00\s*]+$" },
            "additionalProperties": { "type": "string", "pattern": r"^[^\x00]*$" },
        }),
        Shape::Mode(words) => json!({ "enum": words }),
        Shape::Bytes => json!({ "type": "string", "pattern": "^0*[1-9][0-9]*[KMGT]?$" }),
        Shape::Count => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        Shape::Seconds => json!({ "type": "string", "pattern": "^0*[1-9][0-9]*[smh]?$" }),
        Shape::Partials => {
            let words: Vec<String> = PARTIALS
                .iter()
                .flat_map(|p| [(*p).to_owned(), format!("!{p}")])
                .collect();
            list(json!({ "enum": words }))
        }
    };
    value["description"] = json!(format!("{} (since {})", key.doc, key.since));
    value
}
