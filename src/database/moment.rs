//! Formats dates and times in each engine's SQL.
//!
//! Engines do not cover all years: PostgreSQL counts the year before 0001 as 0001 BC, and MySQL and MariaDB
//! calculate neither before 0001 nor after 9999, where a time zone's offset may lead. The calendar repeats
//! every 400 years, including its weeks: dates near either end are shifted by 400 years into the range, and
//! the years in the result are shifted back.

use std::borrow::Cow;

use sea_query::{Expr, Func};

pub use super::date_format::InvalidFormat;
use super::date_format::{self, Part, Piece};
use super::expression::literal;
use super::{Engine, sqlite};

/// From here until [`LATE`], engines handle all dates, also a day earlier or later.
const EARLY: &str = "TIMESTAMP '0002-01-01 00:00:00'";
const LATE: &str = "TIMESTAMP '9999-01-01 00:00:00'";
/// The epoch of Unix time.
const EPOCH: &str = "TIMESTAMP '1970-01-01 00:00:00'";
/// [`EARLY`] and [`LATE`] as Unix time.
const EARLY_SECONDS: i64 = -62_104_060_800;
const LATE_SECONDS: i64 = 253_370_764_800;
/// The length of the calendar's cycle of 400 years.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;

/// How a date or time is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredMoment {
    /// A point in time, as `Value::DateTime`.
    Moment,
    /// A date and time without a zone.
    NoTz,
    /// A date.
    Date,
    /// A time of day.
    Time,
    /// A number: seconds since 1970.
    UnixSeconds,
    /// A number: milliseconds since 1970.
    UnixMilliseconds,
}

impl StoredMoment {
    /// Whether it is a point in time, whose time of day depends on the offset.
    const fn is_shifted(self) -> bool {
        matches!(self, Self::Moment | Self::UnixSeconds | Self::UnixMilliseconds)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Moment => "moment",
            Self::NoTz => "no-tz",
            Self::Date => "date",
            Self::Time => "time",
            Self::UnixSeconds => "seconds",
            Self::UnixMilliseconds => "milliseconds",
        }
    }
}

impl Engine {
    /// Formats a date or time as a text, by moment.js's tokens `YYYY`, `MM`, `DD`, `HH`, `mm`, `ss`, `Q`,
    /// `GGGG`, `WW`; letters between `[` and `]`, and all other characters, stand for themselves. Points in
    /// time are shown at `offset_minutes` east of UTC, others as they are. `NULL` stays `NULL`. Equal
    /// arguments give equal SQL, so that a statement can select the expression and group by it.
    ///
    /// As in moment.js, years have at least four digits, and a `-` before year 0000: `9999-12-31T23:00:00Z`
    /// is in 10000 one hour further east.
    ///
    /// # Errors
    /// When the format has an unknown token, or a token of a date for [`StoredMoment::Time`].
    pub fn format_moment(
        self,
        column: Expr,
        stored: StoredMoment,
        format: &str,
        offset_minutes: i32,
    ) -> Result<Expr, InvalidFormat> {
        let pieces = match stored {
            StoredMoment::Time => date_format::parse_for_time(format)?,
            _ => date_format::parse(format)?,
        };
        let offset = if stored.is_shifted() { offset_minutes } else { 0 };
        Ok(match self {
            Self::Sqlite => self.substitute(
                &format!("{}($1, $2, $3, $4)", sqlite::functions::FORMAT_MOMENT),
                &[column, literal(stored.as_str()), literal(format), Expr::Constant(offset.into())],
            ),
            Self::Postgres => {
                let at = self.substitute(at_on_postgres(stored), &[column, Expr::Constant(offset.into())]);
                self.formatted_on_postgres(&at, stored, &pieces)
            }
            Self::Mysql => {
                let parts = [column, Expr::Constant(offset.into())];
                let at = self.substitute(&at_on_mysql(stored), &parts);
                let formatted = self.formatted_on_mysql(&at, stored, &pieces);
                match calendar_end_on_mysql(stored) {
                    None => formatted,
                    Some(end) => {
                        let [is_inside, is_early, shifted] = [&end.is_inside, &end.is_early, &end.shifted]
                            .map(|one| self.substitute(one, &parts));
                        let near_end = self.formatted_near_end(&is_early, &shifted, stored, &pieces);
                        self.substitute(
                            "(CASE WHEN $1 THEN $2 ELSE $3 END)",
                            &[is_inside, formatted, near_end],
                        )
                    }
                }
            }
        })
    }

    fn formatted_on_postgres(self, at: &Expr, stored: StoredMoment, pieces: &[Piece]) -> Expr {
        let formatted = self.substitute("to_char($1, $2)", &[at.clone(), literal(&for_to_char(pieces))]);
        if stored == StoredMoment::Time {
            return formatted;
        }
        let is_early = self.substitute(&format!("($1 < {EARLY})"), std::slice::from_ref(at));
        let shifted = self.substitute(
            "($1 + CASE WHEN $2 THEN INTERVAL '400 years' ELSE INTERVAL '-400 years' END)",
            &[at.clone(), is_early.clone()],
        );
        let near_end = self.formatted_near_end(&is_early, &shifted, stored, pieces);
        self.substitute(
            &format!("(CASE WHEN $1 >= {EARLY} AND $1 < {LATE} THEN $2 ELSE $3 END)"),
            &[at.clone(), formatted, near_end],
        )
    }

    /// Formats a date near either end of the calendar: `shifted` is the date 400 years later if `is_early`,
    /// else earlier; the years are shifted back.
    fn formatted_near_end(
        self,
        is_early: &Expr,
        shifted: &Expr,
        stored: StoredMoment,
        pieces: &[Piece],
    ) -> Expr {
        let parts = pieces.iter().map(|piece| {
            let year = match (piece, self) {
                (Piece::Part(Part::Year), Self::Mysql) => "year($1)",
                (Piece::Part(Part::WeekYear), Self::Mysql) => "(yearweek($1, 3) DIV 100)",
                (Piece::Part(Part::Year), _) => "CAST(extract(year FROM $1) AS integer)",
                (Piece::Part(Part::WeekYear), _) => "CAST(extract(isoyear FROM $1) AS integer)",
                (piece, Self::Mysql) => {
                    return self.formatted_on_mysql(shifted, stored, std::slice::from_ref(piece));
                }
                (piece, _) => {
                    let format = literal(&for_to_char(std::slice::from_ref(piece)));
                    return self.substitute("to_char($1, $2)", &[shifted.clone(), format]);
                }
            };
            let year = self.substitute(
                &format!("({year} + CASE WHEN $2 THEN -400 ELSE 400 END)"),
                &[shifted.clone(), is_early.clone()],
            );
            let text = if self == Self::Mysql { "char" } else { "text" };
            self.substitute(
                &format!(
                    "(CASE WHEN $1 < 0 THEN concat('-', lpad(CAST(-$1 AS {text}), 4, '0')) \
                     WHEN $1 > 9999 THEN CAST($1 AS {text}) ELSE lpad(CAST($1 AS {text}), 4, '0') END)"
                ),
                &[year],
            )
        });
        let parts: Vec<Expr> = parts.collect();
        // PostgreSQL's `concat` treats `NULL` as an empty text.
        let nothing = if self == Self::Postgres { "CASE WHEN $1 IS NOT NULL THEN $2 END" } else { "$2" };
        self.substitute(nothing, &[shifted.clone(), Func::cust("concat").args(parts).into()])
    }

    fn formatted_on_mysql(self, at: &Expr, stored: StoredMoment, pieces: &[Piece]) -> Expr {
        let function = if stored == StoredMoment::Time { "time_format" } else { "date_format" };
        let formatted =
            |format: &str| self.substitute(&format!("{function}($1, $2)"), &[at.clone(), literal(format)]);
        // `date_format` has no token for the quarter.
        let mut parts = Vec::new();
        let mut format = String::new();
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => format.push_str(&literal.replace('%', "%%")),
                Piece::Part(Part::Quarter) => {
                    if !format.is_empty() {
                        parts.push(formatted(&std::mem::take(&mut format)));
                    }
                    parts.push(self.substitute("quarter($1)", std::slice::from_ref(at)));
                }
                Piece::Part(part) => format.push_str(for_date_format(*part)),
            }
        }
        if !format.is_empty() {
            parts.push(formatted(&format));
        }
        self.substitute("CAST($1 AS char)", &[Func::cust("concat").args(parts).into()])
    }
}

/// The SQL that handles dates near the ends of the calendar.
struct CalendarEnd {
    /// Whether the date is near neither end.
    is_inside: String,
    /// Whether the date is near the beginning rather than the end.
    is_early: String,
    /// The date 400 years later, or earlier.
    shifted: String,
}

/// Returns the SQL for dates near the ends of the calendar, with the column as `$1` and the offset in minutes
/// as `$2`; `None` for times of day.
fn calendar_end_on_mysql(stored: StoredMoment) -> Option<CalendarEnd> {
    let seconds = match stored {
        StoredMoment::Time => return None,
        StoredMoment::UnixSeconds => "floor($1)",
        StoredMoment::UnixMilliseconds => "floor(($1) / 1000)",
        StoredMoment::Moment | StoredMoment::NoTz | StoredMoment::Date => {
            let is_early = format!("(($1) < {EARLY})");
            let shifted = format!(
                "(CASE WHEN {is_early} THEN date_add($1, INTERVAL 400 YEAR) \
                 ELSE date_sub($1, INTERVAL 400 YEAR) END)"
            );
            let shifted = match stored {
                StoredMoment::Moment => format!("timestampadd(MINUTE, $2, {shifted})"),
                _ => shifted,
            };
            return Some(CalendarEnd {
                is_inside: format!("(($1) >= {EARLY} AND ($1) < {LATE})"),
                is_early,
                shifted,
            });
        }
    };
    let is_early = format!("({seconds} < {EARLY_SECONDS})");
    let shifted = format!(
        "timestampadd(MINUTE, $2, timestampadd(SECOND, {seconds} + \
         CASE WHEN {is_early} THEN {CYCLE_SECONDS} ELSE -{CYCLE_SECONDS} END, {EPOCH}))"
    );
    let is_inside = format!("({seconds} >= {EARLY_SECONDS} AND {seconds} < {LATE_SECONDS})");
    Some(CalendarEnd { is_inside, is_early, shifted })
}

const fn at_on_postgres(stored: StoredMoment) -> &'static str {
    match stored {
        StoredMoment::Moment => "(($1) AT TIME ZONE 'UTC' + make_interval(mins => $2))",
        StoredMoment::NoTz | StoredMoment::Date => "CAST($1 AS timestamp)",
        StoredMoment::Time => "CAST($1 AS interval)",
        StoredMoment::UnixSeconds => {
            "(to_timestamp(floor(CAST($1 AS float8))) AT TIME ZONE 'UTC' + make_interval(mins => $2))"
        }
        StoredMoment::UnixMilliseconds => {
            "(to_timestamp(floor(CAST($1 AS float8) / 1000)) AT TIME ZONE 'UTC' + make_interval(mins => $2))"
        }
    }
}

fn at_on_mysql(stored: StoredMoment) -> Cow<'static, str> {
    let seconds = match stored {
        StoredMoment::Moment => return "timestampadd(MINUTE, $2, $1)".into(),
        StoredMoment::NoTz | StoredMoment::Date | StoredMoment::Time => return "$1".into(),
        StoredMoment::UnixSeconds => "floor($1)",
        StoredMoment::UnixMilliseconds => "floor(($1) / 1000)",
    };
    format!("timestampadd(MINUTE, $2, timestampadd(SECOND, {seconds}, {EPOCH}))").into()
}

/// Translates a format for `to_char`, with literals in quotes.
fn for_to_char(pieces: &[Piece]) -> String {
    let mut format = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => {
                let escaped = literal.replace('\\', "\\\\").replace('"', "\\\"");
                format.push_str(&format!("\"{escaped}\""));
            }
            Piece::Part(part) => format.push_str(match part {
                Part::Year => "YYYY",
                Part::Month => "MM",
                Part::Day => "DD",
                Part::Hour => "HH24",
                Part::Minute => "MI",
                Part::Second => "SS",
                Part::Quarter => "Q",
                Part::Week => "IW",
                Part::WeekYear => "IYYY",
            }),
        }
    }
    format
}

const fn for_date_format(part: Part) -> &'static str {
    match part {
        Part::Year => "%Y",
        Part::Month => "%m",
        Part::Day => "%d",
        Part::Hour => "%H",
        Part::Minute => "%i",
        Part::Second => "%s",
        // Formatted by a function of its own.
        Part::Quarter => "",
        Part::Week => "%v",
        Part::WeekYear => "%x",
    }
}
