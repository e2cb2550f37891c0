//! The IVOA's Simple Cone Search 1.03: `/vo/conesearch?RA=&DEC=&SR=`, all in degrees, answered by a VOTable.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use pitt_sky::coords::Icrs;

use crate::http::api::Api;
use crate::http::api::cones::cone_table;
use crate::http::api::params::Given;
use crate::http::api::pool::Lane;
use crate::http::api::position::MOST_ARCSEC;
use crate::http::api::problem::Problem;
use crate::http::api::table::{self, Format, Shape};
use crate::http::api::votable;

/// Most objects of one answer.
const MOST: usize = 100_000;

/// The UCDs that version 1.03 of the standard (section 2.2.2) asks for, older than UCD1+: its clients look for them.
const MAIN_UCDS: [(&str, &str); 3] = [
    ("object_id", "ID_MAIN"),
    ("ra", "POS_EQ_RA_MAIN"),
    ("dec", "POS_EQ_DEC_MAIN"),
];

/// A cone search. An error is a VOTable too, with status 200: that is where the standard's clients look for it.
pub async fn conesearch(State(api): State<Api>, request: Request) -> Response {
    let asked = async {
        let (given, _) = Given::gather(request, &()).await?;
        search(api, &given).await
    };
    let text = match asked.await {
        Ok(text) => text,
        Err(problem) => votable::error(&problem.detail).into_bytes(),
    };
    let kind = [(header::CONTENT_TYPE, "text/xml;content=x-votable")];
    (kind, text).into_response()
}

async fn search(api: Api, given: &Given) -> Result<Vec<u8>, Problem> {
    let degrees = |name: &str| {
        let text = given.any_case(name).unwrap_or_default();
        let number = text
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite());
        number.ok_or_else(|| {
            let detail = format!(
                "Error in {name}: `{}` is no number of degrees",
                crate::http::api::problem::shown(text)
            );
            Problem::bad_parameter(name, detail)
        })
    };
    let center = Icrs::new(degrees("RA")?.rem_euclid(360.0), degrees("DEC")?);
    let center =
        center.map_err(|error| Problem::bad_parameter("DEC", format!("Error in DEC: {error}")))?;
    let radius_arcsec = degrees("SR")? * 3600.0;
    if !(0.0..=MOST_ARCSEC).contains(&radius_arcsec) {
        let detail = format!(
            "Error in SR: expected 0 to {} degrees",
            MOST_ARCSEC / 3600.0
        );
        return Err(Problem::bad_parameter("SR", detail));
    }
    api.ask(Lane::Quick, move |api| {
        // A radius of zero asks for the columns alone.
        let mut hits = match radius_arcsec > 0.0 {
            true => api.stock.cone(center, radius_arcsec)?,
            false => vec![],
        };
        let truncated = hits.len() > MOST;
        hits.truncate(MOST);
        let shape = Shape {
            columns: None,
            format: Some(Format::Votable),
        };
        let mut text = vec![];
        let table = cone_table(&hits)?.with_ucds(&MAIN_UCDS).cut(truncated);
        table::write(&mut { table }, &shape, &mut text)?;
        Ok(text)
    })
    .await
}
