-- title: Fast risers
-- owner: examples
-- survey: any
-- output: fast_risers
--
-- Brightening by more than 0.3 mag a day over at least half a day in one band. Ordinary supernovae rise by about
-- 0.1 mag a day; shock breakout, interaction and fast blue transients such as AT2018cow are quicker: Drout et al. 2014,
-- doi:10.1088/0004-637X/794/1/23. Uses the common columns alone, so it runs on both surveys.
SELECT survey, object_id, alert_id, mjd_tai, ra, dec, band, mag(psf_flux) AS m,
       rise_rate('g') AS rise_g, rise_rate('r') AS rise_r, rise_rate('i') AS rise_i
FROM alerts
WHERE psf_flux > 0
  AND reliability > 0.6
  AND age_days() BETWEEN 0.5 AND 15
  AND (rise_rate('g') > 0.3 OR rise_rate('r') > 0.3 OR rise_rate('i') > 0.3)
  AND abs(galactic_latitude()) > 10
