//! Date formats in moment.js's tokens (<https://momentjs.com/docs/#/displaying/format/>), by which charts are
//! grouped.

use chrono::{Datelike, NaiveDateTime, Timelike};

/// A format that cannot be used: it has an unknown token, or one that does not apply to the stored type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the format {format} cannot be used: {problem}")]
pub struct InvalidFormat {
    /// The beginning of the format.
    format: String,
    /// What is wrong with it.
    problem: String,
}

/// The limit on a format's length, in characters.
const MAX_LENGTH: usize = 200;

/// One piece of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literal text.
    Literal(String),
    /// A part of the date or time.
    Part(Part),
}

/// A part of a date or time, with a fixed width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `YYYY`
    Year,
    /// `MM`
    Month,
    /// `DD`
    Day,
    /// `HH`, 00 to 23
    Hour,
    /// `mm`
    Minute,
    /// `ss`
    Second,
    /// `Q`, 1 to 4
    Quarter,
    /// `WW`: the week of ISO 8601
    Week,
    /// `GGGG`: the ISO 8601 year of the week
    WeekYear,
}

impl Part {
    const ALL: [(&'static str, Self); 9] = [
        ("YYYY", Self::Year),
        ("MM", Self::Month),
        ("DD", Self::Day),
        ("HH", Self::Hour),
        ("mm", Self::Minute),
        ("ss", Self::Second),
        ("Q", Self::Quarter),
        ("WW", Self::Week),
        ("GGGG", Self::WeekYear),
    ];

    /// Whether it applies to a time of day.
    pub(super) const fn is_of_time(self) -> bool {
        matches!(self, Self::Hour | Self::Minute | Self::Second)
    }
}

/// Parses a format. Letters are tokens, except between `[` and `]`; other characters stand for themselves.
pub(super) fn parse(format: &str) -> Result<Vec<Piece>, InvalidFormat> {
    let invalid = |problem: String| InvalidFormat { format: format.chars().take(40).collect(), problem };
    if format.is_empty() || format.len() > MAX_LENGTH {
        return Err(invalid(format!("it must have 1 to {MAX_LENGTH} characters")));
    }
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() {
            let end = rest.find(|letter| letter != first).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            let part = Part::ALL.iter().find(|(name, _)| *name == token);
            let (_, part) = part.ok_or_else(|| invalid(format!("the token {token} is not supported")))?;
            pieces.push(Piece::Part(*part));
            rest = after;
            continue;
        }
        let (literal, after) = if first == '[' {
            rest[1..].split_once(']').ok_or_else(|| invalid("a [ is not closed".to_owned()))?
        } else {
            rest.split_at(first.len_utf8())
        };
        if literal.contains('\0') {
            return Err(invalid("it contains the character U+0000".to_owned()));
        }
        match pieces.last_mut() {
            Some(Piece::Literal(before)) => before.push_str(literal),
            _ => pieces.push(Piece::Literal(literal.to_owned())),
        }
        rest = after;
    }
    Ok(pieces)
}

/// Parses a format for times of day, which have no date.
pub(super) fn parse_for_time(format: &str) -> Result<Vec<Piece>, InvalidFormat> {
    let pieces = parse(format)?;
    if pieces.iter().any(|piece| matches!(piece, Piece::Part(part) if !part.is_of_time())) {
        let problem = "a time of day has no date".to_owned();
        return Err(InvalidFormat { format: format.chars().take(40).collect(), problem });
    }
    Ok(pieces)
}

/// Formats a date and time.
pub(super) fn write(at: NaiveDateTime, pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Part(part) => text.push_str(&match part {
                Part::Year => year(at.year()),
                Part::Month => format!("{:02}", at.month()),
                Part::Day => format!("{:02}", at.day()),
                Part::Hour => format!("{:02}", at.hour()),
                Part::Minute => format!("{:02}", at.minute()),
                Part::Second => format!("{:02}", at.second()),
                Part::Quarter => at.month().div_ceil(3).to_string(),
                Part::Week => format!("{:02}", at.iso_week().week()),
                Part::WeekYear => year(at.iso_week().year()),
            }),
        }
    }
    text
}

/// Formats a year with at least four digits, after its sign.
fn year(year: i32) -> String {
    format!("{}{:04}", if year < 0 { "-" } else { "" }, year.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_consist_of_tokens_and_literals() {
        let at = chrono::NaiveDate::from_ymd_opt(2021, 1, 2).unwrap().and_hms_opt(3, 4, 5).unwrap();
        for (format, written) in [
            ("YYYY-MM-DD HH:mm:ss", "2021-01-02 03:04:05"),
            ("YYYYMMDD", "20210102"),
            ("YYYY-[Q]Q", "2021-Q1"),
            ("GGGG-[W]WW", "2020-W53"),
            ("[YYYY] é%'\"\\ MM", "YYYY é%'\"\\ 01"),
        ] {
            assert_eq!(write(at, &parse(format).unwrap()), written);
        }
        let of_year =
            |year| chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
        for (year, written_years) in
            [(-1, "-0001 -0002"), (0, "0000 -0001"), (1, "0001 0001"), (10_000, "10000 9999")]
        {
            assert_eq!(write(of_year(year), &parse("YYYY GGGG").unwrap()), written_years);
        }
        for format in ["", "YY", "MMM", "D", "YYYY-MM-DDTHH", "[YYYY", "wo", "YYYYY"] {
            assert!(parse(format).is_err(), "{format}");
        }
        assert!(parse_for_time("HH:mm").is_ok() && parse_for_time("YYYY HH").is_err());
    }
}
