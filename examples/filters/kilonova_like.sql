-- title: Kilonova-like
-- owner: examples
-- survey: any
-- output: kilonova_like
--
-- Fading by more than 0.3 mag a day within two weeks of the first detection, or red and fading. A kilonova cools from
-- blue to red and is gone in days, where a supernova fades by some 0.1 mag a day or less. The threshold of 0.3 mag a day
-- is that of ZTFReST: Andreoni et al. 2021, doi:10.3847/1538-4357/ac0bc7; the model is AT2017gfo: Villar et al. 2017,
-- doi:10.3847/2041-8213/aa9c84. Colours are not corrected for dust.
SELECT survey, object_id, alert_id, mjd_tai, ra, dec, band, mag(psf_flux) AS m, age_days() AS age,
       decline_rate('g') AS fade_g, decline_rate('r') AS fade_r, color('g', 'r') AS g_r
FROM alerts
WHERE psf_flux > 0
  AND reliability > 0.6
  AND detections() >= 3
  AND age_days() BETWEEN 0.5 AND 14
  AND (decline_rate('g') > 0.3 OR decline_rate('r') > 0.3 OR decline_rate('i') > 0.3
       OR (color('g', 'r') > 0.7 AND decline_rate('r') > 0.15))
  AND abs(galactic_latitude()) > 10
