//! The operators of conditions.

macro_rules! operators {
    ($($(#[$doc:meta])+ $name:ident = $first:literal $(| $other:literal)*;)+) => {
        /// The comparison of a condition: NocoBase's operators.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operator { $($(#[$doc])+ $name,)+ }

        impl Operator {
            /// Returns the operator of this name, with its `$`.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($first $(| $other)* => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Returns its name, with its `$`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $first,)+ }
            }
        }
    };
}

operators! {
    /// Has this value, or one of these. With null: has no value.
    Eq = "$eq";
    /// Has another value or none. With null: has a value.
    Ne = "$ne";
    /// Is greater.
    Gt = "$gt";
    /// Is greater or equal.
    Gte = "$gte";
    /// Is less.
    Lt = "$lt";
    /// Is less or equal.
    Lte = "$lte";
    /// Has one of these values.
    In = "$in";
    /// Has none of these values.
    NotIn = "$notIn";
    /// Lies between two values, both included.
    Between = "$between";
    /// Lies outside of two values.
    NotBetween = "$notBetween";
    /// Is this value: true, false, null or another.
    Is = "$is";
    /// Is not this value. With null: has a value.
    Not = "$not";
    /// Contains this text, or one of these, ignoring case.
    Includes = "$includes";
    /// Contains neither this text nor any of these, ignoring case.
    NotIncludes = "$notIncludes";
    /// Starts with this text, or one of these, ignoring case.
    StartsWith = "$startsWith";
    /// Does not start with this text, ignoring case.
    NotStartsWith = "$notStartsWith";
    /// Ends with this text, or one of these, ignoring case.
    EndWith = "$endWith" | "$endsWith";
    /// Does not end with this text, ignoring case.
    NotEndWith = "$notEndWith" | "$notEndsWith";
    /// Matches a pattern with `%` and `_`, case-sensitively.
    Like = "$like";
    /// Does not match that pattern.
    NotLike = "$notLike";
    /// Matches a pattern with `%` and `_`, ignoring case.
    ILike = "$iLike";
    /// Does not match that pattern.
    NotILike = "$notILike";
    /// Matches a regular expression, case-sensitively.
    Regexp = "$regexp";
    /// Does not match it.
    NotRegexp = "$notRegexp";
    /// Matches a regular expression, ignoring case.
    IRegexp = "$iRegexp";
    /// Does not match it.
    NotIRegexp = "$notIRegexp";
    /// Equals another field of the record.
    Col = "$col";
    /// Has no value, or an empty one.
    Empty = "$empty";
    /// Has a value that is not empty.
    NotEmpty = "$notEmpty";
    /// Is true.
    IsTruly = "$isTruly";
    /// Is false or has no value.
    IsFalsy = "$isFalsy";
    /// Has a value; of an association: has such a record.
    Exists = "$exists";
    /// Has no value; of an association: has no such record.
    NotExists = "$notExists";
    /// Is a list of exactly these values.
    Match = "$match";
    /// Is a list of other values.
    NotMatch = "$notMatch";
    /// Is a list with at least one of these values.
    AnyOf = "$anyOf";
    /// Is a list with none of these values, or has no value.
    NoneOf = "$noneOf";
    /// Is an empty list, or has no value.
    ArrayEmpty = "$arrayEmpty";
    /// Is a list with at least one value.
    ArrayNotEmpty = "$arrayNotEmpty";
    /// Lies within a period: a day, month, year …
    DateOn = "$dateOn";
    /// Lies outside of the period.
    DateNotOn = "$dateNotOn";
    /// Lies before the period.
    DateBefore = "$dateBefore";
    /// Lies within the period or after it.
    DateNotBefore = "$dateNotBefore";
    /// Lies after the period.
    DateAfter = "$dateAfter";
    /// Lies within the period or before it.
    DateNotAfter = "$dateNotAfter";
    /// Lies between the start of one period and the end of another.
    DateBetween = "$dateBetween";
}
