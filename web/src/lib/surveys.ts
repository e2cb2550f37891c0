import { type Place, toGalactic } from './sky';

/** A survey's images as CDS has them in tiles (HiPS). */
export interface Survey {
  id: string;
  name: string;
  /** Folder of its `properties` and tiles. */
  url: string;
  /** Whose images they are. */
  credit: string;
  /** Whether a place [deg, ICRS] is in what it has seen, as its authors give it. */
  has: (place: Place) => boolean;
}

/** Surveys that are offered, the one first that is best where it has images. */
export const SURVEYS: readonly Survey[] = [
  {
    id: 'panstarrs',
    name: 'PanSTARRS DR1',
    url: 'https://alasky.cds.unistra.fr/Pan-STARRS/DR1/color-z-zg-g',
    credit: 'Pan-STARRS1 Surveys (IfA, STScI)',
    // Chambers et al. 2016, arXiv:1612.05560: north of -30 deg.
    has: ({ lat }) => lat > -30,
  },
  {
    id: 'legacy',
    name: 'Legacy Surveys DR10',
    url: 'https://alasky.cds.unistra.fr/DESI-legacy-surveys/DR10/CDS_P_DESI-Legacy-Surveys_DR10_color',
    credit: 'DESI Legacy Imaging Surveys DR10',
    // Away from the plane of the Galaxy (Dey et al. 2019, doi:10.3847/1538-3881/ab089d); its edge is not a line.
    has: (place) => place.lat < 84 && Math.abs(toGalactic(place).lat) > 15,
  },
  {
    id: 'skymapper',
    name: 'SkyMapper DR4',
    url: 'https://alasky.cds.unistra.fr/Skymapper/DR4/CDS_P_Skymapper_DR4_color',
    credit: 'SkyMapper Southern Survey DR4 (ANU)',
    // Onken et al. 2024, doi:10.1017/pasa.2024.53: from the south pole to +16 deg.
    has: ({ lat }) => lat < 16,
  },
  {
    id: 'dss2',
    name: 'DSS2',
    url: 'https://alasky.cds.unistra.fr/DSS/DSSColor',
    credit: 'Digitized Sky Survey (STScI, NASA), coloured by CDS',
    has: () => true,
  },
  {
    id: '2mass',
    name: '2MASS, infrared',
    url: 'https://alasky.cds.unistra.fr/2MASS/Color',
    credit: '2MASS (University of Massachusetts, IPAC)',
    has: () => true,
  },
];

/** What a place has images in. */
export const surveysAt = (place: Place): Survey[] => SURVEYS.filter((survey) => survey.has(place));

/** The survey to begin with: the one wished for if it has this place, else PanSTARRS in the north and SkyMapper in the south. */
export function usualSurvey(place: Place, wished: string | null = null): Survey {
  const [there, south] = [surveysAt(place), SURVEYS.find((one) => one.id === 'skymapper')];
  return there.find((one) => one.id === wished) ?? there.find((one) => one.id === 'panstarrs') ?? south!;
}
