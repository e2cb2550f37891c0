//! The image stamps of an alert.

use std::io::Read;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use pitt_alert::stamps::{self, Plane};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::alert::alert_id;
use super::answer::Answer;
use super::params::Params;
use super::pool::Lane;
use super::problem::Problem;
use crate::plot::{Orientation, StampPanel, Way, unmirrored};
use crate::stored::StoredAlert;

/// The kinds of stamps, in the order in which people look at them.
const KINDS: [(Kind, &str); 3] = [
    (Kind::Science, "science"),
    (Kind::Template, "template"),
    (Kind::Difference, "difference"),
];

/// Which stamp.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The new image.
    Science,
    /// The old one that it is compared with.
    Template,
    /// The difference of the two.
    Difference,
}

/// In which form.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A picture, bright as dark, never a mirror image of the sky: ZTF's has north up and east left, Rubin's is turned as its file.
    #[default]
    Png,
    /// The FITS file, unpacked.
    Fits,
    /// The bytes in the packet.
    Raw,
    /// Little-endian 32-bit floats, the first row of the file first; `x-width`, `x-height`, and where north and east are,
    /// in degrees counted to the left from up when the first row is drawn at the bottom: `x-north-angle`, `x-east-angle`.
    F32,
}

/// How values become shades.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stretch {
    /// Linear near the sky, logarithmic above it.
    #[default]
    Asinh,
    /// As they are.
    Linear,
    /// The logarithm.
    Log,
    /// The square root.
    Sqrt,
}

/// Which stamp, and how, where the path says the alert and the kind.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CutoutForm {
    /// Form of the answer.
    #[param(inline)]
    pub format: Option<Form>,
    /// Of a picture: how values become shades.
    #[param(inline)]
    pub stretch: Option<Stretch>,
    /// Of a picture: its longer side `[px]`, 8 to 2048; the stamp's own when left out.
    #[param(minimum = 8, maximum = 2048)]
    pub size: Option<u32>,
}

/// Which stamp, and how.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CutoutQuery {
    /// The alert.
    #[param(example = "1")]
    pub alert_id: String,
    /// Survey of the alert; needed only where several have the id.
    pub survey: Option<String>,
    /// Which stamp; `science` when left out.
    #[param(inline)]
    pub kind: Option<Kind>,
    /// Form of the answer.
    #[param(inline)]
    pub format: Option<Form>,
    /// Of a picture: how values become shades.
    #[param(inline)]
    pub stretch: Option<Stretch>,
    /// Of a picture: its longer side `[px]`, 8 to 2048; the stamp's own when left out.
    #[param(minimum = 8, maximum = 2048)]
    pub size: Option<u32>,
}

/// An image stamp of an alert, as a picture, FITS, or bare numbers
#[utoipa::path(method(get, post), path = "/alerts/{alert_id}/cutouts/{kind}", tag = "alerts", operation_id = "alert_cutout",
    params(
        ("alert_id" = String, Path, description = "The alert's id: candid or diaSourceId.", example = "1"),
        ("kind" = String, Path, description = "Which stamp: science, template or difference.", example = "science"),
        CutoutForm,
    ),
    responses((status = 200, description = "The stamp.", content(
        (Vec<u8> = "image/png"), (Vec<u8> = "application/fits"), (Vec<u8> = "application/octet-stream")))))]
pub async fn of_alert(
    State(api): State<Api>,
    Path((id, kind)): Path<(String, String)>,
    Params(form): Params<CutoutForm>,
) -> Answer {
    let known = KINDS.iter().find(|(_, name)| *name == kind);
    let Some((kind, _)) = known else {
        let hint = crate::suggest::hint(&kind, KINDS.map(|(_, name)| name));
        let detail = format!(
            "there are no cutouts `{}`{hint}",
            super::problem::shown(&kind)
        );
        let problem = Problem::not_found("unknown_cutout", detail).at("kind");
        return Err(problem.hint("there are science, template and difference"));
    };
    answer(api, None, alert_id(&id)?, *kind, form).await
}

/// An image stamp, by parameters alone
#[utoipa::path(method(get, post), path = "/cutouts", tag = "aliases", operation_id = "cutouts",
    params(CutoutQuery),
    responses((status = 200, description = "The stamp.", content(
        (Vec<u8> = "image/png"), (Vec<u8> = "application/fits"), (Vec<u8> = "application/octet-stream")))))]
pub async fn cutouts(State(api): State<Api>, Params(query): Params<CutoutQuery>) -> Answer {
    let form = CutoutForm {
        format: query.format,
        stretch: query.stretch,
        size: query.size,
    };
    let kind = query.kind.unwrap_or(Kind::Science);
    answer(api, query.survey, alert_id(&query.alert_id)?, kind, form).await
}

async fn answer(api: Api, survey: Option<String>, id: i64, kind: Kind, form: CutoutForm) -> Answer {
    if form.size.is_some_and(|size| !(8..=2048).contains(&size)) {
        return Err(Problem::bad_parameter(
            "size",
            "`size` is outside 8 to 2048 px",
        ));
    }
    let (headers, bytes) = api
        .ask(Lane::Quick, move |api| {
            let alert = api
                .stock
                .decode(api.stock.one(survey.as_deref(), id)?.packet)?;
            let bytes = stamp(&alert, kind).ok_or_else(|| {
                Problem::not_found("no_cutout", format!("alert {id} brings no such stamp"))
            })?;
            shaped(&alert, kind, bytes, form)
        })
        .await?;
    Ok((headers, bytes).into_response())
}

/// The kind of stamp that a column of a packet is.
pub fn kind_of(column: &str) -> Option<&'static str> {
    let name = column.to_lowercase();
    let kind = name.strip_prefix("cutout")?;
    Some(
        KINDS
            .iter()
            .find(|(_, known)| *known == kind)
            .map_or("other", |(_, known)| known),
    )
}

/// The stamps that an alert brings.
pub fn kinds(alert: &StoredAlert) -> Vec<&'static str> {
    let there = KINDS
        .iter()
        .filter(|(kind, _)| stamp(alert, *kind).is_some());
    there.map(|(_, name)| *name).collect()
}

/// The bytes of a stamp.
pub fn stamp(alert: &StoredAlert, kind: Kind) -> Option<Vec<u8>> {
    let wanted = KINDS.iter().find(|(known, _)| *known == kind)?.1;
    let schema = alert.row.schema();
    let column = schema
        .fields()
        .iter()
        .position(|field| kind_of(field.name()) == Some(wanted))?;
    bytes_of(alert.row.column(column)).filter(|bytes| !bytes.is_empty())
}

/// The bytes of a column, or of the first column of bytes inside it.
pub fn bytes_of(column: &ArrayRef) -> Option<Vec<u8>> {
    if column.is_null(0) {
        return None;
    }
    match column.data_type() {
        DataType::BinaryView => Some(column.as_binary_view().value(0).to_vec()),
        DataType::Binary => Some(column.as_binary::<i32>().value(0).to_vec()),
        DataType::Struct(_) => column.as_struct().columns().iter().find_map(bytes_of),
        _ => None,
    }
}

fn shaped(
    alert: &StoredAlert,
    kind: Kind,
    bytes: Vec<u8>,
    form: CutoutForm,
) -> Result<(HeaderMap, Vec<u8>), Problem> {
    let name = KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("", |(_, name)| *name);
    let file = |ending: &str| {
        format!(
            "inline; filename=\"{}_{name}.{ending}\"",
            alert.packet.alert_id
        )
    };
    match form.format.unwrap_or_default() {
        Form::Raw => Ok((headers("application/octet-stream", &file("bin")), bytes)),
        Form::Fits => Ok((headers("application/fits", &file("fits")), unpacked(bytes)?)),
        Form::F32 => {
            let plane = plane(&bytes)?;
            let mut headers = headers("application/octet-stream", &file("f32"));
            put(&mut headers, "x-width", &plane.width.to_string());
            put(&mut headers, "x-height", &plane.height.to_string());
            if let Some(sky) = Orientation::of(&plane, &alert.packet.survey) {
                put(&mut headers, "x-north-angle", &format!("{:.3}", sky.north));
                put(&mut headers, "x-east-angle", &format!("{:.3}", sky.east));
            }
            Ok((
                headers,
                plane
                    .pixels
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ))
        }
        Form::Png => {
            let plane = plane(&bytes)?;
            let (width, height) = (plane.width, plane.height);
            let pixels = unmirrored(plane, &alert.packet.survey);
            let both_signs = kind == Kind::Difference;
            let panel = StampPanel {
                name: name.to_owned(),
                width,
                height,
                pixels,
                scale_arcsec: None,
                both_signs,
            };
            let way = match form.stretch.unwrap_or_default() {
                Stretch::Asinh => Way::Asinh,
                Stretch::Linear => Way::Linear,
                Stretch::Log => Way::Log,
                Stretch::Sqrt => Way::Sqrt,
            };
            let png = panel.picture(way, form.size);
            let png = png.map_err(|error| Problem::fault("the stamp cannot be drawn", &error))?;
            Ok((headers("image/png", &file("png")), png))
        }
    }
}

fn headers(kind: &'static str, file: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(file) = HeaderValue::from_str(file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    headers
}

fn put(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn damaged(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "damaged_cutout", detail)
        .hint("`format=raw` gives it as it came")
}

/// A stamp's first image that has pixels.
fn plane(bytes: &[u8]) -> Result<Plane, Problem> {
    let planes = stamps::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    let plane = planes
        .into_iter()
        .find(|plane| plane.width > 0 && plane.height > 0);
    plane.ok_or_else(|| damaged("the stamp has no pixels".to_owned()))
}

/// A FITS file without the gzip around it.
fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let mut fits = bytes;
    if fits.starts_with(&[0x1f, 0x8b]) {
        let mut out = vec![];
        let most = stamps::MAX_UNPACKED as u64;
        let read = flate2::read::MultiGzDecoder::new(fits.as_slice())
            .take(most)
            .read_to_end(&mut out);
        read.map_err(|error| damaged(format!("the stamp does not unpack: {error}")))?;
        fits = out;
    }
    match fits.starts_with(b"SIMPLE") {
        true => Ok(fits),
        false => Err(damaged("the stamp is no FITS file".to_owned())),
    }
}
