//! `nbapps-protocol(7)`, from the protocol's own types.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use serde_json::Value;

use crate::protocol::methods::discover;
use crate::protocol::{PROTOCOL_VERSION, lines::MAX_LINE};

/// The page.
pub(super) fn page() -> String {
    let discovery = discover();
    let mut roff = Roff::new();
    roff.control("TH", ["nbapps-protocol", "7", "", &super::source(), super::MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("nbapps-protocol - the control protocol of nbappsd")]);
    introduction(&mut roff);
    methods(&mut roff, &discovery, "METHODS", "methods");
    methods(&mut roff, &discovery, "NOTIFICATIONS", "notifications");
    errors(&mut roff, &discovery);
    types(&mut roff, &discovery);
    roff.to_roff() + &super::see_also("nbapps-protocol.7")
}

fn introduction(roff: &mut Roff) {
    roff.control("SH", ["DESCRIPTION"]);
    let paragraphs = [
        format!(
            "The daemon and its clients speak JSON-RPC 2.0 over a local stream socket: one message a \
             line, UTF-8, ended by a line feed. A request longer than {} MiB is refused and the \
             connection closed. This is version {PROTOCOL_VERSION} of the protocol.",
            MAX_LINE / 1024 / 1024
        ),
        "Several requests may be in flight on one connection; answers carry the id of their request and \
         come in the order in which they are ready. Parameters are objects, always by name. Batches are \
         not supported: send several lines."
            .to_owned(),
        "A client greets with host.hello first. Work that takes its time sends progress notifications \
         that carry the id of their request. events.subscribe, and app.logs and host.logs with \
         follow, send notifications until the client closes the connection."
            .to_owned(),
        "A lifecycle command goes on to its end when its client goes away; operation.list and \
         operation.wait find it again."
            .to_owned(),
    ];
    for paragraph in paragraphs {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    roff.control("SH", ["EXAMPLE"]);
    roff.control("nf", []);
    for line in [
        format!(
            r#"> {{"jsonrpc":"2.0","id":1,"method":"host.hello","params":{{"client":"me","protocol":{PROTOCOL_VERSION}}}}}"#
        ),
        format!(
            r#"< {{"jsonrpc":"2.0","id":1,"result":{{"server":"nbappsd","protocol":{PROTOCOL_VERSION},"main_url":"http://localhost:13000/admin/"}}}}"#
        ),
        r#"> {"jsonrpc":"2.0","id":2,"method":"app.start","params":{"id":"nosuch"}}"#.to_owned(),
        r#"< {"jsonrpc":"2.0","id":2,"error":{"code":-31006,"message":"there is no application \"nosuch\"","data":{"kind":"app_not_found"}}}"#.to_owned(),
    ] {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

fn methods(roff: &mut Roff, discovery: &Value, heading: &str, key: &str) {
    roff.control("SH", [heading]);
    for method in entries(&discovery[key]) {
        roff.control("SS", [text(&method["name"])]);
        roff.text([roman(text(&method["summary"]))]);
        for (what, schema) in [("Parameters", &method["params"]), ("Result", &method["result"])] {
            if !schema.is_null() {
                roff.control("br", []);
                roff.text([roman(format!("{what}: ")), italic(type_name(schema))]);
            }
        }
    }
}

fn errors(roff: &mut Roff, discovery: &Value) {
    roff.control("SH", ["ERRORS"]);
    roff.text([roman(
        "An error has a number, a sentence that says what was tried, on what, and what went wrong, and \
         data with a kind that stays the same from version to version, and often a hint that says what \
         to do next.",
    )]);
    let described = described_words(&discovery["$defs"]["ErrorKind"]);
    for kind in entries(&discovery["error_kinds"]) {
        let name = text(&kind["kind"]);
        let description = described.iter().find(|(word, _)| *word == name).map_or("", |(_, what)| *what);
        definition(roff, [bold(name), roman(format!(" ({})", kind["code"]))], description);
    }
}

fn types(roff: &mut Roff, discovery: &Value) {
    roff.control("SH", ["TYPES"]);
    roff.text([roman(
        "Fields marked with * must be given. rpc.discover answers the same as JSON Schema (draft 2020-12).",
    )]);
    let Some(types) = discovery["$defs"].as_object() else { return };
    for (name, schema) in types.iter().filter(|(name, _)| *name != "ErrorKind") {
        roff.control("SS", [name.as_str()]);
        roff.text([roman(one_line(text(&schema["description"])))]);
        fields(roff, schema);
        for (word, description) in described_words(schema) {
            definition(roff, [bold(word)], description);
        }
        // A tagged enum: one object for each of its variants.
        for variant in entries(&schema["oneOf"]).filter(|variant| variant["properties"].is_object()) {
            roff.control("PP", []);
            roff.text([roman(one_line(text(&variant["description"])))]);
            fields(roff, variant);
        }
    }
}

fn fields(roff: &mut Roff, schema: &Value) {
    let required: Vec<&str> = entries(&schema["required"]).map(text).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let mark = if required.contains(&name.as_str()) { "*" } else { "" };
        let head = [bold(name.as_str()), roman(format!("{mark} ")), italic(type_name(field))];
        definition(roff, head, text(&field["description"]));
    }
}

fn definition(roff: &mut Roff, head: impl Into<Vec<Inline>>, description: &str) {
    roff.control("TP", []);
    roff.text(head);
    roff.text([roman(one_line(description))]);
}

/// The words of an enum with what each means.
fn described_words(schema: &Value) -> Vec<(&str, &str)> {
    entries(&schema["oneOf"])
        .filter_map(|word| Some((word["const"].as_str()?, text(&word["description"]))))
        .collect()
}

/// A schema's type in a few words.
fn type_name(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("\"{word}\"");
    }
    for choice in ["anyOf", "allOf"] {
        let names: Vec<_> =
            entries(&schema[choice]).filter(|one| one["type"] != "null").map(type_name).collect();
        if !names.is_empty() {
            return names.join(" or ");
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        kinds => entries(kinds).map(text).filter(|kind| *kind != "null").collect(),
    };
    match (kinds.as_slice(), &schema["format"]) {
        (["array"], _) => format!("array of {}", type_name(&schema["items"])),
        (["string"], Value::String(format)) if format == "date-time" => "time (RFC 3339)".to_owned(),
        ([], _) => "any value".to_owned(),
        (kinds, _) => kinds.join(" or "),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
