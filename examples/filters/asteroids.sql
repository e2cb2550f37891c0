-- title: Known asteroids, ZTF
-- owner: examples
-- survey: ztf
-- output: asteroids
--
-- Alerts within 12 arcsec of the predicted place of a known Solar System body, near the ecliptic, with no earlier
-- detection at the spot (a body has moved on by the next night). ZTF's own association is in `ssdistnr` [arcsec] and
-- `ssnamenr`, -999 and null where there is none: Masci et al. 2019, doi:10.1088/1538-3873/aae8ac.
SELECT objectId, candid, candidate.ssnamenr, candidate.ssdistnr, mjd_tai, ra, dec, band, mag(psf_flux) AS m,
       ecliptic_latitude() AS ecliptic_latitude
FROM alerts
WHERE psf_flux > 0
  AND candidate.ssdistnr BETWEEN 0 AND 12
  AND abs(ecliptic_latitude()) < 30
  AND duration_days() < 0.5
