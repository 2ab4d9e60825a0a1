//! `nbapps schema`: the JSON Schemas of files that this program reads.

use clap::{Args, Subcommand};

use crate::cli::apply;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::Format;

/// Print JSON Schemas, by which editors complete and check documents
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps schema apply > apply.schema.json
  nbapps schema apply | jq '.\"$defs\".App.properties | keys'")]
pub(crate) struct Schema {
    #[command(subcommand)]
    command: SchemaCommand,
}

#[derive(Debug, Subcommand)]
enum SchemaCommand {
    /// Print the JSON Schema of the documents of nbapps apply
    ///
    /// Editors take it from a comment at the top of a document: "#:schema ./apply.schema.json" in TOML,
    /// "# yaml-language-server: $schema=./apply.schema.json" in YAML; in JSON from the key "$schema".
    #[command(after_help = "\
Examples:
  nbapps schema apply > apply.schema.json
  nbapps schema apply -o yaml")]
    Apply,
}

impl Schema {
    /// Prints the schema.
    pub(crate) fn run(self, context: &Context) -> Result<(), CliError> {
        let SchemaCommand::Apply = self.command;
        let schema = apply::schema();
        let console = &context.console;
        match console.format {
            Format::Table | Format::Wide => {
                let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::other);
                console.raw(&text.map_err(CliError::Output)?)
            }
            Format::Yaml => console.show(&crate::protocol::Shown::of(&schema), "", String::new),
            _ => console.show(&schema, "apply", String::new),
        }
    }
}
