//! What to decode of a packet.

use std::collections::BTreeSet;

use crate::avro::plan::Wanted;
use crate::avro::schema::Record;
use crate::survey::Survey;
use crate::survey::points::ListKind;

/// Which of the survey's own columns to decode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SurveyColumns {
    /// Every one.
    All,
    /// Every one but the image stamps: top-level columns whose names begin with `cutout`.
    #[default]
    AllButStamps,
    /// These top-level columns, as far as the packets have them.
    Only(BTreeSet<String>),
}

/// Which columns to decode. The common columns without the three lists come always, where the survey has a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The survey's own top-level columns.
    pub survey: SurveyColumns,
    /// The common list `detections`.
    pub detections: bool,
    /// The common list `forced`.
    pub forced: bool,
    /// The common list `nondetections`.
    pub nondetections: bool,
}

impl Default for Selection {
    /// Everything but the stamps.
    fn default() -> Self {
        Selection {
            survey: SurveyColumns::AllButStamps,
            detections: true,
            forced: true,
            nondetections: true,
        }
    }
}

impl Selection {
    /// Everything, stamps too.
    pub fn everything() -> Selection {
        Selection {
            survey: SurveyColumns::All,
            ..Selection::default()
        }
    }

    /// The common columns alone, without history.
    pub fn common_only() -> Selection {
        let survey = SurveyColumns::Only(BTreeSet::new());
        Selection {
            survey,
            detections: false,
            forced: false,
            nondetections: false,
        }
    }

    /// Whether the survey's column `name` is to come out.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        match &self.survey {
            SurveyColumns::All => true,
            SurveyColumns::AllButStamps => !is_stamp(name),
            SurveyColumns::Only(names) => names.contains(name),
        }
    }

    pub(crate) fn lists(&self) -> Vec<ListKind> {
        let chosen = [
            (self.detections, ListKind::Detections),
            (self.forced, ListKind::Forced),
            (self.nondetections, ListKind::Nondetections),
        ];
        chosen
            .into_iter()
            .filter_map(|(wanted, kind)| wanted.then_some(kind))
            .collect()
    }

    /// What must be read of `alert`: the columns that come out, and those the common columns are made from.
    pub(crate) fn wanted(&self, alert: &Record, mapping: Option<&dyn Survey>) -> Wanted {
        let mut wanted = Wanted::Fields(Default::default());
        for field in alert.fields.iter().filter(|field| self.keeps(&field.name)) {
            wanted.add(&[&field.name]);
        }
        if let Some(mapping) = mapping {
            mapping.want(&self.lists(), &mut wanted);
        }
        wanted
    }
}

/// Stamps are `cutoutScience` and the like in every survey so far.
pub(crate) fn is_stamp(name: &str) -> bool {
    name.get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("cutout"))
}
