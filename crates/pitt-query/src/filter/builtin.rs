//! The functions of SQL that filters may call, with the types they take and give.
//!
//! An allow-list: none of these can make its result larger than its arguments, read the clock or draw random numbers.

/// What values are, as far as checking a filter needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Number,
    Text,
    Truth,
    List,
    Struct,
    Other,
    /// A null, or a column whose schema is not known: fits everywhere.
    Any,
}

impl Class {
    /// In the words of an error message.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Class::Number => "a number",
            Class::Text => "text",
            Class::Truth => "true or false",
            Class::List => "a list",
            Class::Struct => "a group of columns",
            Class::Other => "neither a number, text nor true or false",
            Class::Any => "any value",
        }
    }

    /// Whether a value of this class can stand where `other` is wanted.
    pub(crate) fn fits(self, other: Class) -> bool {
        self == other || self == Class::Any || other == Class::Any
    }
}

/// A function of SQL: name, classes of its arguments, least and most arguments, and the class of its result.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) takes: Class,
    /// Class of the arguments after the first, where they differ.
    pub(crate) then: Class,
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// `None`: as the first argument.
    pub(crate) gives: Option<Class>,
}

const fn numbers(name: &'static str, least: usize, most: usize) -> Builtin {
    let (takes, then) = (Class::Number, Class::Number);
    Builtin {
        name,
        takes,
        then,
        least,
        most,
        gives: Some(Class::Number),
    }
}

const fn texts(
    name: &'static str,
    then: Class,
    (least, most): (usize, usize),
    gives: Class,
) -> Builtin {
    Builtin {
        name,
        takes: Class::Text,
        then,
        least,
        most,
        gives: Some(gives),
    }
}

const fn choice(name: &'static str, least: usize, most: usize) -> Builtin {
    Builtin {
        name,
        takes: Class::Any,
        then: Class::Any,
        least,
        most,
        gives: None,
    }
}

static BUILTINS: &[Builtin] = &[
    numbers("abs", 1, 1),
    numbers("acos", 1, 1),
    numbers("asin", 1, 1),
    numbers("atan", 1, 1),
    numbers("atan2", 2, 2),
    numbers("cbrt", 1, 1),
    numbers("ceil", 1, 1),
    numbers("cos", 1, 1),
    numbers("degrees", 1, 1),
    numbers("exp", 1, 1),
    numbers("floor", 1, 1),
    numbers("ln", 1, 1),
    numbers("log10", 1, 1),
    numbers("log2", 1, 1),
    numbers("power", 2, 2),
    numbers("radians", 1, 1),
    numbers("round", 1, 2),
    numbers("signum", 1, 1),
    numbers("sin", 1, 1),
    numbers("sqrt", 1, 1),
    numbers("tan", 1, 1),
    numbers("trunc", 1, 2),
    Builtin {
        name: "isnan",
        takes: Class::Number,
        then: Class::Number,
        least: 1,
        most: 1,
        gives: Some(Class::Truth),
    },
    choice("coalesce", 1, 20),
    choice("greatest", 1, 20),
    choice("least", 1, 20),
    choice("nullif", 2, 2),
    texts("contains", Class::Text, (2, 2), Class::Truth),
    texts("ends_with", Class::Text, (2, 2), Class::Truth),
    texts("starts_with", Class::Text, (2, 2), Class::Truth),
    texts("left", Class::Number, (2, 2), Class::Text),
    texts("right", Class::Number, (2, 2), Class::Text),
    texts("length", Class::Any, (1, 1), Class::Number),
    texts("lower", Class::Any, (1, 1), Class::Text),
    texts("upper", Class::Any, (1, 1), Class::Text),
    texts("btrim", Class::Text, (1, 2), Class::Text),
    texts("strpos", Class::Text, (2, 2), Class::Number),
    texts("substr", Class::Number, (2, 3), Class::Text),
    Builtin {
        name: "array_length",
        takes: Class::List,
        then: Class::Any,
        least: 1,
        most: 1,
        gives: Some(Class::Number),
    },
];

/// The allowed function of that name (lower case).
pub(crate) fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|b| b.name == name)
}

/// Names of all allowed functions of SQL, sorted in groups.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|b| b.name)
}

/// Functions over many rows, which a filter has no use for.
pub(crate) fn is_aggregate(name: &str) -> bool {
    const AGGREGATES: [&str; 26] = [
        "count",
        "sum",
        "avg",
        "mean",
        "min",
        "max",
        "median",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "var",
        "var_pop",
        "var_samp",
        "variance",
        "corr",
        "covar",
        "array_agg",
        "string_agg",
        "first_value",
        "last_value",
        "nth_value",
        "approx_distinct",
        "approx_median",
        "approx_percentile_cont",
        "bool_and",
        "bool_or",
    ];
    AGGREGATES.contains(&name)
}
