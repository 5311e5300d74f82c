//! JSON Schema of an event. Written by hand, because it says what each field means; a test holds it to the types.

pub fn json_schema() -> &'static str {
    include_str!("schema.json")
}
