// Constructors for Python, as CTK's wrapping makes them: PythonQt calls new_Class of the object registered for Class.
#pragma once

#include "slicer_widgets.h"

#include <ctkCollapsibleButton.h>
#include <ctkRangeWidget.h>

class Wrap_ctkCollapsibleButton : public QObject
{
  Q_OBJECT
public slots:
  ctkCollapsibleButton* new_ctkCollapsibleButton(QWidget* p = nullptr) { return new ctkCollapsibleButton(p); }
};

class Wrap_ctkRangeWidget : public QObject
{
  Q_OBJECT
public slots:
  ctkRangeWidget* new_ctkRangeWidget(QWidget* p = nullptr) { return new ctkRangeWidget(p); }
};

class Wrap_qMRMLWidget : public QObject
{
  Q_OBJECT
public slots:
  qMRMLWidget* new_qMRMLWidget(QWidget* p = nullptr) { return new qMRMLWidget(p); }
};

class Wrap_qMRMLNodeComboBox : public QObject
{
  Q_OBJECT
public slots:
  qMRMLNodeComboBox* new_qMRMLNodeComboBox(QWidget* p = nullptr) { return new qMRMLNodeComboBox(p); }
};

class Wrap_qMRMLSegmentsTableView : public QObject
{
  Q_OBJECT
public slots:
  qMRMLSegmentsTableView* new_qMRMLSegmentsTableView(QWidget* p = nullptr) { return new qMRMLSegmentsTableView(p); }
};

class Wrap_HostUiLoader : public QObject
{
  Q_OBJECT
public slots:
  HostUiLoader* new_HostUiLoader(QObject* p = nullptr) { return new HostUiLoader(p); }
};

class Wrap_Hand : public QObject
{
  Q_OBJECT
public slots:
  Hand* new_Hand() { return new Hand; }
};
