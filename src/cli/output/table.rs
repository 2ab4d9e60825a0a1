//! Tables without borders, and listings of names and values.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

use super::printable;
use crate::protocol::State;

/// A cell of text.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new_owned(printable(text.as_ref()))
}

/// A cell of text that may be missing.
pub(crate) fn optional(text: Option<impl AsRef<str>>) -> Cell {
    text.map_or_else(|| cell("-"), cell)
}

/// A cell with a state in its colour.
pub(crate) fn state(state: State) -> Cell {
    let cell = Cell::new(state.as_str());
    match state {
        State::Running => cell.fg(Color::DarkGreen),
        State::Error => cell.fg(Color::DarkRed),
        State::Preparing | State::Initializing | State::Commanding => cell.fg(Color::DarkCyan),
        State::Stopped => cell.fg(Color::DarkYellow),
        State::Initialized | State::NotFound => cell,
    }
}

/// Rows under headings. Values are neither cut nor wrapped, so that scripts get them whole.
pub(crate) fn columns(heading: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let mut table = bare();
    table.set_header(heading.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
    table.add_rows(rows);
    render(&mut table)
}

/// Names and values, one pair a line.
pub(crate) fn listing(pairs: impl IntoIterator<Item = (&'static str, Cell)>) -> String {
    let mut table = bare();
    table.add_rows(
        pairs.into_iter().map(|(name, value)| vec![Cell::new(name).add_attribute(Attribute::Bold), value]),
    );
    render(&mut table)
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    // The console removes colours where they are off.
    table.enforce_styling();
    table.style_text_only();
    table
}

fn render(table: &mut Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows = vec![
            vec![cell("crm"), state(State::Running), cell("Kundenpflege für alle")],
            vec![cell("a-longer-id"), state(State::Initializing), cell("x")],
        ];
        let text = columns(&["ID", "STATE", "NAME"], rows);
        let plain = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(plain, @r"
        ID           STATE         NAME
        crm          running       Kundenpflege für alle
        a-longer-id  initializing  x
        ");
        assert!(text.contains("\u{1b}["), "states are coloured");
    }

    #[test]
    fn a_value_stays_on_its_line() {
        let text = listing([("Name", cell("two\nlines")), ("State", state(State::Error))]);
        let plain = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(plain, @r"
        Name   two\nlines
        State  error
        ");
    }
}
