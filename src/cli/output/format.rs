//! The value of `--output`: a format, or a template.

use std::ffi::OsStr;
use std::sync::Arc;

use clap::ValueEnum;
use clap::builder::{EnumValueParser, PossibleValue, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};

use crate::cli::template::Template;

/// The format of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// More columns
    Wide,
    /// JSON, indented
    Json,
    /// JSON, one object a line
    Jsonl,
    /// YAML
    Yaml,
    /// Names (IDs) only, one a line
    Name,
    /// TOML, for `nbapps export`
    #[value(hide = true)]
    Toml,
    /// By the template of [`Output`].
    #[value(skip)]
    Template,
}

/// How a command prints data.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    pub(crate) format: Format,
    /// The template of [`Format::Template`].
    pub(crate) template: Option<Arc<Template>>,
}

impl From<Format> for Output {
    fn from(format: Format) -> Self {
        Self { format, template: None }
    }
}

/// What precedes a template.
const TEMPLATE: &str = "template=";

impl Output {
    /// The parser of `--output`.
    pub(crate) fn parser() -> impl TypedValueParser<Value = Self> {
        OutputParser
    }

    fn by_template(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix(TEMPLATE).unwrap_or(text);
        Ok(Self { format: Format::Template, template: Some(Arc::new(Template::parse(text)?)) })
    }
}

#[derive(Debug, Clone, Copy)]
struct OutputParser;

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Output, clap::Error> {
        if value.as_encoded_bytes().starts_with(TEMPLATE.as_bytes()) {
            let parser = StringValueParser::new().try_map(|text: String| Output::by_template(&text));
            return parser.parse_ref(command, argument, value);
        }
        let format = EnumValueParser::<Format>::new().parse_ref(command, argument, value);
        format.map(Output::from).map_err(|mut error| {
            if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue).cloned() {
                let all = valid.into_iter().chain([TEMPLATE.to_owned()]).collect();
                error.insert(ContextKind::ValidValue, ContextValue::Strings(all));
            }
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let formats = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let template = PossibleValue::new(TEMPLATE)
            .help("By a template in the language of Jinja, such as 'template={{ id }}'");
        Some(Box::new(formats.chain([template])))
    }
}
