//! What the keys of `nbapps top` do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Change, Mode, Top};
use crate::protocol::AppId;

/// How far the keys for pages move.
const PAGE: isize = 10;

/// The keys with what they do, for the help.
pub(super) const HELP: &[(&str, &str)] = &[
    ("Up Down, k j", "select an application"),
    ("PgUp PgDn, Home End", "the same, farther"),
    ("Left Right, < >", "sort by another column"),
    ("r", "reverse the order"),
    ("/", "show only IDs with a text; Esc shows all"),
    ("Enter", "show or hide details of the selected one"),
    ("s, x", "start it, stop it, after a confirmation"),
    ("q, Ctrl-C", "quit"),
];

/// What is to be done for a key, beside what it changed on the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Quit,
    Change(Change, AppId),
}

/// Does what a key is for.
pub(super) fn handle(top: &mut Top, key: KeyEvent) -> Action {
    if key.kind == KeyEventKind::Release {
        return Action::Nothing;
    }
    // A raw terminal sends no signal for it.
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return if key.code == KeyCode::Char('c') { Action::Quit } else { Action::Nothing };
    }
    top.message = None;
    match top.mode.clone() {
        Mode::Browse => return browse(top, key.code),
        Mode::Filter => filter(top, key.code),
        Mode::Confirm(change, id) => {
            top.mode = Mode::Browse;
            if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                return Action::Change(change, id);
            }
            top.say("nothing was changed".to_owned());
        }
        Mode::Help => top.mode = Mode::Browse,
    }
    Action::Nothing
}

fn browse(top: &mut Top, key: KeyCode) -> Action {
    match key {
        KeyCode::Char('q') => return Action::Quit,
        KeyCode::Esc if top.shows_details => top.shows_details = false,
        KeyCode::Esc if !top.filter.is_empty() => top.filter.clear(),
        KeyCode::Esc => return Action::Quit,
        KeyCode::Up | KeyCode::Char('k') => top.select(-1),
        KeyCode::Down | KeyCode::Char('j') => top.select(1),
        KeyCode::PageUp => top.select(-PAGE),
        KeyCode::PageDown => top.select(PAGE),
        KeyCode::Home | KeyCode::Char('g') => top.select(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => top.select(isize::MAX),
        KeyCode::Left | KeyCode::Char('<') => top.sort_by_next(-1),
        KeyCode::Right | KeyCode::Char('>') => top.sort_by_next(1),
        KeyCode::Char('r') => top.is_descending = !top.is_descending,
        KeyCode::Char('/') => top.mode = Mode::Filter,
        KeyCode::Char('?' | 'h') => top.mode = Mode::Help,
        KeyCode::Enter => top.shows_details = !top.shows_details,
        KeyCode::Char('s') => ask(top, Change::Start),
        KeyCode::Char('x') => ask(top, Change::Stop),
        _ => {}
    }
    Action::Nothing
}

/// Asks whether to change the selected application.
fn ask(top: &mut Top, change: Change) {
    if let Some(selected) = top.selected() {
        top.mode = Mode::Confirm(change, selected.stats.id);
    }
}

fn filter(top: &mut Top, key: KeyCode) {
    match key {
        KeyCode::Enter => top.mode = Mode::Browse,
        KeyCode::Esc => {
            top.filter.clear();
            top.mode = Mode::Browse;
        }
        KeyCode::Backspace => {
            top.filter.pop();
        }
        // IDs have no other characters than these.
        KeyCode::Char(c) if c.is_ascii_graphic() => top.filter.push(c.to_ascii_lowercase()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{ids, top};
    use super::*;
    use crate::cli::output::statistics::Column;

    fn press(top: &mut Top, keys: &[KeyCode]) -> Action {
        let mut last = Action::Nothing;
        for key in keys {
            last = handle(top, KeyEvent::new(*key, KeyModifiers::NONE));
        }
        last
    }

    fn text(text: &str) -> Vec<KeyCode> {
        text.chars().map(KeyCode::Char).collect()
    }

    #[test]
    fn it_is_quit_in_every_mode() {
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for keys in ["", "/", "/x", "x", "?"] {
            let mut top = top();
            press(&mut top, &text(keys));
            assert_eq!(handle(&mut top, interrupt), Action::Quit, "{keys}");
        }
        assert_eq!(press(&mut top(), &text("q")), Action::Quit);
        assert_eq!(press(&mut top(), &[KeyCode::Esc]), Action::Quit);
    }

    #[test]
    fn escape_closes_what_was_opened_last() {
        let mut top = top();
        press(&mut top, &text("/h"));
        press(&mut top, &[KeyCode::Enter, KeyCode::Enter]);
        assert!(top.shows_details && top.filter == "h");
        assert_eq!(press(&mut top, &[KeyCode::Esc]), Action::Nothing);
        assert!(!top.shows_details && top.filter == "h");
        assert_eq!(press(&mut top, &[KeyCode::Esc]), Action::Nothing);
        assert!(top.filter.is_empty());
    }

    #[test]
    fn letters_are_the_filter_while_it_is_typed() {
        let mut top = top();
        press(&mut top, &text("/SHq"));
        assert_eq!((&*top.filter, &top.mode), ("shq", &Mode::Filter));
        press(&mut top, &[KeyCode::Backspace]);
        assert_eq!(ids(&top), ["shop"]);
        press(&mut top, &[KeyCode::Esc]);
        assert_eq!((ids(&top).len(), &top.mode), (3, &Mode::Browse));
    }

    #[test]
    fn the_order_is_changed_by_keys() {
        let mut top = top();
        press(&mut top, &text(">"));
        assert_eq!(top.sort, Column::P50);
        press(&mut top, &[KeyCode::Left, KeyCode::Left]);
        assert_eq!((top.sort, top.is_descending), (Column::State, false));
        press(&mut top, &text("r"));
        assert!(top.is_descending);
    }

    #[test]
    fn a_change_is_confirmed() {
        let mut top = top();
        let crm = AppId::parse("crm").unwrap();
        assert_eq!(press(&mut top, &text("jx")), Action::Nothing);
        assert_eq!(top.mode, Mode::Confirm(Change::Stop, crm.clone()));
        assert_eq!(press(&mut top, &[KeyCode::Enter]), Action::Nothing);
        assert_eq!((&top.mode, top.message.as_deref()), (&Mode::Browse, Some("nothing was changed")));
        assert_eq!(press(&mut top, &text("xy")), Action::Change(Change::Stop, crm.clone()));
        assert_eq!(press(&mut top, &text("sy")), Action::Change(Change::Start, crm));
        top.filter = "nosuch".to_owned();
        press(&mut top, &text("x"));
        assert_eq!(top.mode, Mode::Browse);
    }
}
