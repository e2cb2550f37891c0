//! Errors as users see them.

use crate::fixture::check;

fn report(text: &str) -> String {
    match check(text) {
        Ok(_) => "accepted".to_string(),
        Err(error) => error.report(),
    }
}

#[test]
fn an_unknown_column_gets_the_nearest_name() {
    insta::assert_snapshot!(report("-- survey: ztf\nSELECT objectId FROM alerts\nWHERE candidate.magpfs < 18"), @"");
}
