//! How a condition compares.

macro_rules! operators {
    ($($(#[$doc:meta])+ $name:ident = $first:literal $(| $other:literal)*;)+) => {
        /// How a condition compares: NocoBase's operators.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operator { $($(#[$doc])+ $name,)+ }

        impl Operator {
            /// The operator of this name, with its `$`.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($first $(| $other)* => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Its name, with its `$`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $first,)+ }
            }
        }
    };
}

operators! {
    /// Has this value, or one of these; null: has none.
    Eq = "$eq";
    /// Has another value, or none; null: has one.
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
    /// Is within two values, or one of them.
    Between = "$between";
    /// Is outside of two values.
    NotBetween = "$notBetween";
    /// Is this: a value, true, false or null.
    Is = "$is";
    /// Is not this; null: has a value.
    Not = "$not";
    /// Has this text in it, upper or lower case; or one of these.
    Includes = "$includes";
    /// Does not have this text in it, upper or lower case; nor any of these.
    NotIncludes = "$notIncludes";
    /// Begins with this text, upper or lower case; or one of these.
    StartsWith = "$startsWith";
    /// Does not begin with it.
    NotStartsWith = "$notStartsWith";
    /// Ends with this text, upper or lower case; or one of these.
    EndWith = "$endWith" | "$endsWith";
    /// Does not end with it.
    NotEndWith = "$notEndWith" | "$notEndsWith";
    /// Fits a pattern with `%` and `_`, exactly.
    Like = "$like";
    /// Does not fit it.
    NotLike = "$notLike";
    /// Fits a pattern with `%` and `_`, upper or lower case.
    ILike = "$iLike";
    /// Does not fit it.
    NotILike = "$notILike";
    /// Fits a regular expression.
    Regexp = "$regexp";
    /// Does not fit it.
    NotRegexp = "$notRegexp";
    /// Fits a regular expression, upper or lower case.
    IRegexp = "$iRegexp";
    /// Does not fit it.
    NotIRegexp = "$notIRegexp";
    /// Has the same value as another field.
    Col = "$col";
    /// Has no value, or an empty one.
    Empty = "$empty";
    /// Has a value that is not empty.
    NotEmpty = "$notEmpty";
    /// Is true.
    IsTruly = "$isTruly";
    /// Is false, or has no value.
    IsFalsy = "$isFalsy";
    /// There is such a record, or a value.
    Exists = "$exists";
    /// There is none.
    NotExists = "$notExists";
    /// Is a list of just these.
    Match = "$match";
    /// Is a list of others.
    NotMatch = "$notMatch";
    /// Is a list with one of these at least.
    AnyOf = "$anyOf";
    /// Is a list with none of these, or nothing.
    NoneOf = "$noneOf";
    /// Is a list without anything in it, or nothing.
    ArrayEmpty = "$arrayEmpty";
    /// Is a list with something in it.
    ArrayNotEmpty = "$arrayNotEmpty";
    /// Is within a day, month, year …
    DateOn = "$dateOn";
    /// Is outside of it.
    DateNotOn = "$dateNotOn";
    /// Is before it.
    DateBefore = "$dateBefore";
    /// Is within it, or after it.
    DateNotBefore = "$dateNotBefore";
    /// Is after it.
    DateAfter = "$dateAfter";
    /// Is within it, or before it.
    DateNotAfter = "$dateNotAfter";
    /// Is from the beginning of one to the end of another.
    DateBetween = "$dateBetween";
}
