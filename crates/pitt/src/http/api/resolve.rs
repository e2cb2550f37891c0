//! What somebody may mean who typed something into a search box.

use axum::extract::State;
use pitt_sky::coords::Icrs;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::Answer;
use super::params::Params;
use super::problem::Problem;

/// What was typed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ResolveQuery {
    /// An alert's id, an object's name, or a position in degrees or sexagesimal.
    #[param(example = "10:20:30 -04:05:06")]
    pub q: String,
}

/// What it may mean.
#[derive(Debug, Serialize, ToSchema)]
pub struct Resolved {
    query: String,
    /// Kind of the first target, or `nothing`.
    #[schema(example = "position")]
    kind: &'static str,
    targets: Vec<Target>,
}

/// Something that can be looked at.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Target {
    /// `alert`, `object` or `position`.
    kind: &'static str,
    survey: Option<String>,
    alert_id: Option<String>,
    object_id: Option<String>,
    ra: Option<f64>,
    dec: Option<f64>,
}

/// Finds what an id, a name or a position means
#[utoipa::path(method(get, post), path = "/resolve", tag = "objects", operation_id = "resolve",
    params(ResolveQuery),
    responses((status = 200, description = "What it may mean, the likeliest first.", body = Resolved)))]
pub async fn resolve(State(api): State<Api>, Params(asked): Params<ResolveQuery>) -> Answer {
    api.look(move |api| api.resolve(asked.q.trim())).await
}

impl Api {
    fn resolve(&self, text: &str) -> Result<Resolved, Problem> {
        let mut targets = self.alerts_called(text)?;
        targets.extend(self.objects_called(text)?);
        if let Ok(Icrs { ra_deg, dec_deg }) = text.parse() {
            targets.push(Target {
                kind: "position",
                ra: Some(ra_deg),
                dec: Some(dec_deg),
                ..Target::default()
            });
        }
        let kind = targets.first().map_or("nothing", |target| target.kind);
        Ok(Resolved {
            query: super::problem::shown(text),
            kind,
            targets,
        })
    }

    fn alerts_called(&self, text: &str) -> Result<Vec<Target>, Problem> {
        let Ok(id) = text.parse::<i64>() else {
            return Ok(vec![]);
        };
        let mut targets = vec![];
        for found in self.stock.find(None, id)? {
            let alert = self.stock.decode(found.packet)?;
            targets.push(Target {
                kind: "alert",
                survey: Some(alert.packet.survey.clone()),
                alert_id: Some(id.to_string()),
                object_id: super::alert::text(&alert, "object_id"),
                ra: super::alert::number(&alert, "ra"),
                dec: super::alert::number(&alert, "dec"),
            });
        }
        Ok(targets)
    }

    /// Objects of this name; ZTF's names are also understood in lower case.
    fn objects_called(&self, text: &str) -> Result<Vec<Target>, Problem> {
        let lower = text
            .get(..3)
            .filter(|start| start.eq_ignore_ascii_case("ztf"));
        let usual = lower.map(|_| format!("ZTF{}", text[3..].to_lowercase()));
        let names = [Some(text.to_owned()), usual.filter(|usual| usual != text)];
        let mut targets: Vec<Target> = vec![];
        for name in names.into_iter().flatten() {
            let points = self.stock.points(&name)?;
            let Some(last) = points.last() else {
                continue;
            };
            let alert = self.alert_of(last)?;
            targets.push(Target {
                kind: "object",
                survey: Some(last.survey.clone()),
                alert_id: Some(last.alert_id.to_string()),
                object_id: Some(name),
                ra: super::alert::number(&alert, "ra"),
                dec: super::alert::number(&alert, "dec"),
            });
        }
        Ok(targets)
    }
}
