/** Language and theme, as the reader likes them. */
import { useTranslation } from "react-i18next";
import { Segments, Select } from "../components/controls";
import { Icon } from "../components/icon";
import { chooseLanguage, type Language } from "../i18n";
import { chooseTheme, type Theme, useChosenTheme } from "../theme/theme";

const LANGUAGE_CHOICES: readonly { value: Language; label: string }[] = [
  { value: "en", label: "English" },
  { value: "ja", label: "日本語" },
];

export function LanguageSelect() {
  const { t, i18n } = useTranslation();
  return (
    <Select
      label={t("bar.language")}
      value={i18n.language as Language}
      choices={LANGUAGE_CHOICES}
      onChoose={chooseLanguage}
    />
  );
}

export function ThemeSegments() {
  const { t } = useTranslation();
  const choices: readonly { value: Theme; label: string; glyph: React.ReactNode }[] = [
    { value: "system", label: t("bar.themeSystem"), glyph: <Icon name="system" size={15} /> },
    { value: "light", label: t("bar.themeLight"), glyph: <Icon name="sun" size={15} /> },
    { value: "dark", label: t("bar.themeDark"), glyph: <Icon name="moon" size={15} /> },
  ];
  return <Segments label={t("bar.theme")} value={useChosenTheme()} choices={choices} onChoose={chooseTheme} />;
}
