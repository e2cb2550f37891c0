//! Parameters read from their texts into numbers, lists and words, and what is said of one that cannot be.

use std::fmt;

use axum::http::StatusCode;
use serde::de::value::SeqDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::problem::{Problem, shown};
use crate::suggest;

/// Reads names and texts into the fields of a struct.
///
/// # Errors
/// One is missing or is none of what it can be: which, and what was expected.
pub(super) fn read<T: DeserializeOwned>(given: &[&(String, String)]) -> Result<T, Problem> {
    let fields = Fields {
        left: given,
        current: None,
    };
    T::deserialize(de::value::MapAccessDeserializer::new(fields)).map_err(Misfit::problem)
}

/// Why a parameter cannot be read.
#[derive(Debug)]
struct Misfit {
    name: String,
    message: String,
    missing: bool,
}

impl Misfit {
    fn expected(text: &Text<'_>, expected: &str) -> Self {
        let message = format!(
            "`{}` is `{}`, expected {expected}",
            text.name,
            shown(text.text)
        );
        Self {
            name: text.name.to_owned(),
            message,
            missing: false,
        }
    }

    fn problem(self) -> Problem {
        let code = if self.missing {
            "missing_parameter"
        } else {
            "bad_parameter"
        };
        Problem::new(StatusCode::BAD_REQUEST, code, self.message).at(self.name)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            name: String::new(),
            message: message.to_string(),
            missing: false,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        let message = format!("`{field}` is missing");
        Self {
            name: field.to_owned(),
            message,
            missing: true,
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = suggest::hint(variant, expected.iter().copied());
        let all = expected.join("`, `");
        Self::custom(format!(
            "it is `{}`, expected one of `{all}`{hint}",
            shown(variant)
        ))
    }
}

struct Fields<'a> {
    left: &'a [&'a (String, String)],
    current: Option<Text<'a>>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some(((name, text), left)) = self.left.split_first() else {
            return Ok(None);
        };
        self.left = left;
        self.current = Some(Text { name, text });
        seed.deserialize(name.as_str().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let text = self.current.take().unwrap_or(Text { name: "", text: "" });
        seed.deserialize(text).map_err(|mut misfit| {
            if misfit.name.is_empty() {
                misfit.name = text.name.to_owned();
                misfit.message = format!("`{}`: {}", text.name, misfit.message);
            }
            misfit
        })
    }
}

/// One value, still as text.
#[derive(Clone, Copy)]
struct Text<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'de> IntoDeserializer<'de, Misfit> for Text<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Methods that parse the text as a whole number.
macro_rules! whole {
    ($($method:ident $visit:ident $kind:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let number = self.text.trim().parse::<$kind>();
            let expected = format!("a whole number from {} to {}", <$kind>::MIN, <$kind>::MAX);
            visitor.$visit(number.map_err(|_| Misfit::expected(&self, &expected))?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Text<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_str(self.text)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => visitor.visit_bool(true),
            "false" | "0" | "no" => visitor.visit_bool(false),
            _ => Err(Misfit::expected(&self, "true or false")),
        }
    }

    whole! {
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let number = self.text.trim().parse::<f64>().ok();
        let number = number.filter(|number| number.is_finite());
        visitor.visit_f64(number.ok_or_else(|| Misfit::expected(&self, "a finite number"))?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let name = self.name;
        let items = self
            .text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        visitor.visit_seq(SeqDeserializer::new(items.map(|text| Text { name, text })))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_enum(self.text.trim().into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}
